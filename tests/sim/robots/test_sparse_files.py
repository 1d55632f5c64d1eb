"""Robot files that say little: meshes, keyframes, gains and a free base that are not there are left out or derived."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policies.errors import UserError
from sim.physics.mujoco.model import build_model
from sim.robots.legs import Legs
from sim.robots.own import gains
from sim.tasks.inspection import inspect_robot, load
from tests.sim.robots.reports import held, loaded, refused, warned
from tests.sim.robots.walker import FLOOR, HOME, TRUNK, servos, walker, written


def test_a_visual_mesh_may_be_missing_and_one_that_touches_may_not(tmp_path: Path) -> None:
    asset = '<asset><mesh name="shell" file="shell.stl"/><mesh name="broken" file="broken.obj"/></asset>'
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "broken.obj").write_text("nothing")
    look = '<geom type="mesh" mesh="{0}" contype="0" conaffinity="0" group="2" mass="0"/>'
    looks = look.format("shell") + look.format("broken")
    own = loaded(tmp_path, walker(compiler='meshdir="assets"', trunk=TRUNK + looks, more=asset))
    assert warned(own, "only looked at and left out") and warned(own, "shell.stl") and warned(own, "broken.obj")
    assert build_model(own.robot).nmesh == 0
    sides = "".join(f' file{side}="side.png"' for side in ("right", "left", "up", "down", "front", "back"))
    textures = f'<asset><texture name="a" type="2d" file="a.png"/><texture name="b" type="cube"{sides}/>' + "".join(
        f'<material name="{name}" texture="{name}"/>' for name in "ab"
    )
    painted = TRUNK.replace("/>", ' material="a"/>') + TRUNK.replace("/>", ' material="b"/>').replace('"trunk"', '"t2"')
    own = loaded(tmp_path / "painted", walker(trunk=painted, more=f"{textures}</asset>"))
    assert warned(own, "a.png, side.png") and build_model(own.robot).geom("trunk").matid[0] >= 0
    touching = TRUNK + '<geom type="mesh" mesh="shell"/>'
    line = refused(tmp_path, walker(compiler='meshdir="assets"', trunk=touching, more=asset))
    assert "shell.stl" in line and "assets" in line and "touches" in line
    heavy = '<geom type="mesh" mesh="shell" contype="0" conaffinity="0"/>'
    assert "the mass of trunk follows from the mesh shell.stl" in refused(
        tmp_path, walker(compiler='meshdir="assets"', trunk=TRUNK + heavy, more=asset)
    )


def test_the_stance_is_found_in_the_scene_beside_the_robot(tmp_path: Path) -> None:
    (tmp_path / "scene.xml").write_text(
        f'<mujoco><include file="dog.xml"/><worldbody>{FLOOR}</worldbody><keyframe>{HOME}</keyframe></mujoco>'
    )
    own = loaded(tmp_path, walker(world="", keys=""))
    assert own.robot.part(Legs).stance == pytest.approx((0.0, 0.8, -1.5) * 4)
    assert warned(own, "the stance is from keyframe home of scene.xml")
    # The scene counts as a file of the robot.
    before = own.digest
    (tmp_path / "scene.xml").write_text((tmp_path / "scene.xml").read_text().replace("0.8", "0.9"))
    assert loaded(tmp_path, walker(world="", keys="")).digest != before


def test_a_stance_is_derived_with_the_feet_below_the_hips_and_holds(tmp_path: Path) -> None:
    report = held(tmp_path, walker(keys=""))
    assert any("the stance is derived" in line for line in report["warnings"])
    stance = np.array(report["stance"]).reshape(4, 3)
    np.testing.assert_allclose(stance, np.tile(stance[0], (4, 1)), atol=0.02)
    assert 0.2 < stance[0, 1] < 1.2 and -2.0 < stance[0, 2] < -0.4


def test_torque_motors_get_gains_by_the_rule_and_stand(tmp_path: Path) -> None:
    motors = servos('<motor joint="{0}" ctrlrange="-30 30"/>')
    report = held(tmp_path, walker(actuator=motors))
    assert report["sources"]["stiffness"] == ["derived"] * 12
    assert any(f"natural frequency of {gains.FREQUENCY} Hz" in line for line in report["warnings"])
    stiffness = np.array(report["stiffness"]).reshape(4, 3)
    np.testing.assert_allclose(stiffness[0], stiffness[1])
    assert 5.0 < stiffness.min() and stiffness.max() < 200.0
    given = loaded(tmp_path / "given", walker(actuator=motors), {"stiffness": {"calf": 50}})
    assert given.robot.stiffness[2] == 50.0 and given.robot.stiffness[0] == pytest.approx(stiffness[0, 0])


def test_a_joints_own_damping_counts_for_that_of_its_motor(tmp_path: Path) -> None:
    text, at = walker(actuator=servos('<motor joint="{0}" ctrlrange="-30 30"/>')), 'axis="0 1 0"'
    plain = loaded(tmp_path / "plain", text).robot
    damped = loaded(tmp_path / "damped", text.replace(at, f'{at} damping="0.1"')).robot
    stuck = loaded(tmp_path / "stuck", text.replace(at, f'{at} damping="30"')).robot
    assert plain.stiffness == damped.stiffness
    for j in (1, 2):
        assert plain.damping[j] - damped.damping[j] == pytest.approx(0.1, abs=1e-3)
        assert stuck.damping[j] == 0.0
        # A leg in the air settles within a fifth of a stride of 0.4 s.
        assert 0.0 < plain.damping[j] / plain.stiffness[j] < 0.08


def test_servos_that_the_weight_bends_far_are_kept_and_named(tmp_path: Path) -> None:
    form = '<position joint="{0}" kp="%d" kv="1" forcerange="-30 30"/>'
    firm, weak = (loaded(tmp_path / str(kp), walker(actuator=servos(form % kp))) for kp in (60, 4))
    assert firm.robot.stiffness == (60.0,) * 12 and weak.robot.stiffness == (4.0,) * 12
    assert warned(weak, "may be too soft to walk with") and not warned(firm, "too soft")
    given = loaded(tmp_path / "given", walker(actuator=servos(form % 4)), {"stiffness": 4})
    assert not warned(given, "too soft")


URDF = """<robot name="biped"><link name="body"><inertial><mass value="5"/>
<inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial></link>{}</robot>"""
LINK = """<link name="{0}_{1}"><inertial><origin xyz="0 0 -0.1"/><mass value="0.5"/>
<inertia ixx="0.002" iyy="0.002" izz="0.001" ixy="0" ixz="0" iyz="0"/></inertial>{2}</link>"""
JOINT = """<joint name="{0}_{1}" type="revolute"><origin xyz="{2}"/><parent link="{3}"/><child link="{0}_{1}"/>
<axis xyz="0 1 0"/><limit lower="{4}" upper="{5}" effort="40" velocity="20"/></joint>"""


def test_the_root_of_a_urdf_floats(tmp_path: Path) -> None:
    foot = '<collision><origin xyz="0.02 0 -0.2"/><geometry><box size="0.16 0.06 0.02"/></geometry></collision>'
    parts = ""
    for side, y in (("left", 0.1), ("right", -0.1)):
        parts += LINK.format(side, "thigh", "") + LINK.format(side, "shin", foot)
        parts += JOINT.format(side, "thigh", f"0 {y} 0", "body", -1, 1)
        parts += JOINT.format(side, "shin", "0 0 -0.2", f"{side}_thigh", -0.1, 2)
    (tmp_path / "biped.urdf").write_text(URDF.format(parts))
    report = inspect_robot(str(tmp_path / "biped.urdf"))
    assert report["base"] == "body" and report["mass"] == pytest.approx(7.0) == report["mujoco_mass"]
    assert report["torque_limit"] == [40.0] * 4
    assert any("the file fixes body to the world" in line for line in report["warnings"])


def test_numbers_that_yaml_reads_as_text_are_numbers_and_infinite_ones_are_refused(tmp_path: Path) -> None:
    path = Path(written(tmp_path, walker(), {}))
    path.write_text(path.read_text().replace("{}", "") + "\nstiffness: 4e1\n")
    assert load(str(path)).robot.stiffness == (40.0,) * 12
    path.write_text("mjcf: dog.xml\njoint_high: .inf\n")
    with pytest.raises(UserError, match="joint_high of FL_hip must be finite"):
        load(str(path))
