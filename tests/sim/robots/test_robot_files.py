"""Robot files as users have them: what loads, loads rightly; what can't is refused in one line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from sim.physics.mujoco.model import build_model
from sim.robots.legs import Legs
from sim.tasks import find_task
from sim.tasks.inspection import inspect_robot, load
from sim.tasks.own_robot import own_name
from tests.sim.robots.reports import held, loaded, refused, warned
from tests.sim.robots.walker import FLOOR, HOME, JOINTS, LEGS, SERVO, STANCE, TRUNK, leg, legs, servos, walker, written

MASS = 10.4


def touches_ground(model: mujoco.MjModel, geom: str) -> bool:
    one, floor = model.geom(geom), model.geom("floor")
    return bool(one.contype & floor.conaffinity or floor.contype & one.conaffinity)


def test_options_of_the_file_change_no_physics_and_are_named(tmp_path: Path) -> None:
    option = """<option cone="elliptic" impratio="100" gravity="0 0 -1" wind="3 0 0" density="1.2">
<flag contact="disable"/></option>"""
    plain, odd = (build_model(loaded(tmp_path / name, walker(more=more)).robot)
                  for name, more in (("plain", ""), ("odd", option)))  # fmt: skip
    for field in ("cone", "impratio", "iterations", "disableflags", "density"):
        assert getattr(plain.opt, field) == getattr(odd.opt, field)
    assert odd.opt.gravity == pytest.approx((0.0, 0.0, -9.81)) and odd.opt.wind == pytest.approx((0.0, 0.0, 0.0))
    own = loaded(tmp_path / "odd", walker(more=option))
    assert warned(own, "gravity 0 0 -1; wind 3 0 0; density 1.2; disableflags contact")
    assert warned(own, "cone elliptic, impratio 100")
    assert held(tmp_path / "stands", walker(more=option))["hold"]["falls"] == 0


def test_options_change_nothing_that_is_derived(tmp_path: Path) -> None:
    motors = servos('<motor joint="{0}" ctrlrange="-30 30"/>')
    option = '<option gravity="0 0 0"><flag gravity="disable" contact="disable"/></option><size memory="1K"/>'
    plain, odd = (loaded(tmp_path / name, walker(actuator=motors, keys="", more=more)).robot
                  for name, more in (("plain", ""), ("odd", option)))  # fmt: skip
    assert (plain.stiffness, plain.damping, plain.parts) == (odd.stiffness, odd.damping, odd.parts)


def test_actuators_that_the_options_switch_off_are_left_out(tmp_path: Path) -> None:
    old = '<position name="{0}_old" joint="{0}" kp="400" kv="9" forcerange="-90 90" group="2"/>'
    own = loaded(tmp_path, walker(actuator=servos(SERVO + old), more='<option actuatorgroupdisable="2"/>'))
    assert own.robot.stiffness == (40.0,) * 12 and own.robot.torque_limit == (30.0,) * 12
    assert warned(own, "left out, because the file's options switch them off: actuators FL_hip_old, FL_thigh_old")


SHELL = """<geom name="shell" type="box" size="0.22 0.08 0.05" mass="6" group="1" contype="0" conaffinity="0"/>
<geom name="hull" type="box" size="0.22 0.08 0.05" group="0"/>"""


@pytest.mark.parametrize(
    "compiler",
    [
        'inertiagrouprange="1 1"',
        'inertiagrouprange="0 0"',
        'settotalmass="20"',
        'balanceinertia="true" boundmass="0.3"',
    ],
)
@pytest.mark.filterwarnings("ignore:compiler attribute")
def test_masses_and_inertias_are_mujocos_link_by_link(compiler: str, tmp_path: Path) -> None:
    balls = legs(thigh='<geom type="sphere" size="0.03" group="1"/><geom type="sphere" size="0.02" group="0"/>')
    hip = '<geom type="sphere" size="0.03" mass="0.4"/>'
    balls = balls.replace(hip, '<inertial pos="0 0 0" mass="0.4" diaginertia="0.001 0.001 0.001"/>' + hip)
    balls = balls.replace('size="0.01" mass="0.15"', 'size="0.01" mass="0.15" group="1"')
    path = written(tmp_path, walker(compiler=compiler, trunk=SHELL, limbs=balls))
    own, theirs = load(path), mujoco.MjModel.from_xml_path(path)
    ours = build_model(own.robot)
    for body in range(1, theirs.nbody):
        name = theirs.body(body).name
        assert ours.body(name).mass == pytest.approx(theirs.body(body).mass, rel=1e-12)
        np.testing.assert_allclose(ours.body(name).inertia, theirs.body(body).inertia, rtol=1e-12)
        np.testing.assert_allclose(ours.body(name).ipos, theirs.body(body).ipos, atol=1e-12)
    assert own.mass == pytest.approx(theirs.body_mass.sum())


def test_a_base_without_mass_is_as_heavy_as_what_is_fixed_to_it(tmp_path: Path) -> None:
    text = walker(trunk=f'<body name="trunk_inertia">{TRUNK}</body>')
    report = held(tmp_path, text)
    assert report["mass"] == pytest.approx(MASS)
    task = find_task(own_name("velocity-flat", written(tmp_path, text), ""))
    environment: Any = task.make_environment(8, 0, randomized=True)
    environment.reset()
    masses = environment.scenario.physics.fields.expand("body_mass")
    trunk = environment.scenario.physics.model.body("trunk_inertia").id
    assert float(masses[:, trunk].std()) > 0.1


CRATE = '<body name="crate" pos="2 0 0.1"><freejoint/><geom type="box" size="0.1 0.1 0.1" mass="1"/></body>'


def test_a_prop_before_the_robot_stays_where_it_is(tmp_path: Path) -> None:
    spec: dict[str, object] = {"stance": STANCE}
    path = written(tmp_path, walker(world=FLOOR + CRATE, keys=""), spec)
    report = inspect_robot(path)
    assert report["base"] == "trunk" and report["hold"]["falls"] == 0
    assert report["mass"] == pytest.approx(MASS) and any("props: crate" in line for line in report["warnings"])
    environment: Any = find_task(own_name("velocity-flat", "", path)).make_environment(16, 0)
    environment.reset()
    physics = environment.scenario.physics
    crate = int(physics.model.joint(physics.model.body("crate").jntadr[0]).qposadr[0])
    base = int(physics.model.joint(physics.model.body("trunk").jntadr[0]).qposadr[0])
    assert physics.qpos[:, crate : crate + 3].numpy() == pytest.approx(np.tile((2.0, 0.0, 0.1), (16, 1)))
    # Any heading.
    assert float(physics.qpos[:, base + 6].std()) > 0.2
    box = next(g for g in range(physics.model.ngeom) if physics.model.geom_bodyid[g] == physics.model.body("crate").id)
    trunk = physics.model.geom("trunk")
    assert trunk.contype[0] & physics.model.geom_conaffinity[box]


def test_a_floating_prop_is_not_taken_for_a_robot_that_the_file_fixes(tmp_path: Path) -> None:
    report = held(tmp_path, walker(world=FLOOR + CRATE, free="", keys=""), {"stance": STANCE})
    assert report["base"] == "trunk"
    assert any("the file fixes trunk to the world" in line for line in report["warnings"])


def test_feet_that_touch_by_pairs_and_masks_alone_touch(tmp_path: Path) -> None:
    masked = legs().replace("<geom ", '<geom contype="0" conaffinity="0" ')
    pairs = "".join(f'<pair geom1="{name}_toe" geom2="floor"/>' for name in LEGS)
    text = walker(limbs=masked, more=f"<contact>{pairs}</contact>")
    report = held(tmp_path / "pairs", text)
    assert report["feet"] == [[f"{name}_toe"] for name in LEGS]
    model = build_model(loaded(tmp_path / "pairs", text).robot)
    assert touches_ground(model, "FL_toe") and touches_ground(model, "trunk")
    other = legs().replace("<geom ", '<geom contype="2" conaffinity="2" ')
    assert "no geom at the end of a leg touches" in refused(tmp_path / "masks", walker(limbs=other))
    listed = loaded(tmp_path / "listed", walker(limbs=other), {"feet": [f"{name}_toe" for name in LEGS]})
    assert touches_ground(build_model(listed.robot), "RR_toe")
    exclude = '<contact><exclude body1="FL_calf_link" body2="world"/></contact>'
    own = loaded(tmp_path / "excluded", walker(more=exclude))
    assert own.feet == tuple((f"{name}_toe",) for name in LEGS[1:])


BAR = (
    '<body name="{0}_bar" pos="0.03 0 -0.02"><joint name="{0}_bar_joint" axis="0 1 0" range="-2 2"/>'
    '<geom type="capsule" fromto="0 0 0 0 0 -0.15" size="0.006" mass="0.05" contype="0" conaffinity="0"/></body>'
)


def test_joints_of_a_loop_move_by_themselves(tmp_path: Path) -> None:
    loops = "".join(
        f'<connect body1="{name}_bar" body2="{name}_calf_link" anchor="0 0 -0.15"/>' for name in LEGS
    )  # fmt: skip
    text = walker(limbs=legs(thigh=BAR), keys="", more=f"<equality>{loops}</equality>")
    own = loaded(tmp_path, text, {"stance": STANCE, "joints": list(JOINTS)})
    assert [joint for joint, _ in own.robot.passive] == [f"{name}_bar_joint" for name in LEGS]
    model = build_model(own.robot)
    assert model.neq == 4 and model.nu == 12 and model.joint("FL_bar_joint").id >= 0
    # The knees can't bend to the stance: the bars hold them.
    assert warned(own, "its constraints miss each other by 0.00")
    opened = walker(limbs=legs(thigh=BAR), keys="")
    welded = loaded(tmp_path / "open", opened, {"stance": STANCE, "joints": list(JOINTS)})
    assert welded.robot.passive == () and warned(welded, "welded where they are at 0: FL_bar_joint")


def test_a_joint_that_follows_another_is_passive_and_starts_with_it(tmp_path: Path) -> None:
    toe = '<body name="FL_tip" pos="0 0 -0.2"><joint name="FL_tip" axis="0 1 0" range="-2 2"/>{}</body>'
    ball = '<geom name="FL_toe" type="sphere" size="0.02" mass="0.05"/>'
    limbs = leg("FL", 0.2, foot=toe.format(ball)) + legs(names=LEGS[1:])
    follow = '<equality><joint joint1="FL_tip" joint2="FL_calf" polycoef="0 -0.5 0 0 0"/></equality>'
    spec: dict[str, object] = {"stance": STANCE, "mirror": [["FL", "FR"], ["RL", "RR"]]}
    own = loaded(tmp_path, walker(limbs=limbs, keys="", more=follow), spec)
    assert "FL_tip" not in own.robot.joints
    assert dict(own.robot.passive)["FL_tip"] == pytest.approx(0.75, abs=1e-3)


def test_what_ties_the_robot_to_the_world_is_left_out_by_name(tmp_path: Path) -> None:
    tether = '<equality><weld name="tether" body1="trunk"/></equality>'
    own = loaded(tmp_path, walker(more=tether))
    assert warned(own, "left out, because it holds the robot to the world or to scenery: equality tether")
    assert build_model(own.robot).neq == 0


@pytest.mark.parametrize("turn", ["0 1 0 0", "0.707107 0 0 0.707107", "0.5 0.5 0.5 0.5"])
def test_a_turned_imu_is_judged_in_the_frame_of_the_base(turn: str, tmp_path: Path) -> None:
    site = f'<site name="imu" pos="0 0 0.03" quat="{turn}"/>'
    report = held(tmp_path, walker(trunk=TRUNK + site))
    assert any("the IMU is turned" in line for line in report["warnings"])
    model = build_model(loaded(tmp_path, walker(trunk=TRUNK + site)).robot)
    assert model.site("imu").pos == pytest.approx((0.0, 0.0, 0.03))


def test_the_imu_is_where_the_gyro_is(tmp_path: Path) -> None:
    site = '<site name="{}" pos="0 {} 0.03" quat="0 1 0 0"/>'
    sensors = '<sensor><gyro site="one"/><accelerometer site="one"/><gyro site="two"/></sensor>'
    trunk = TRUNK + site.format("other", 0.3) + site.format("one", 0.1) + site.format("two", 0.2)
    own = loaded(tmp_path, walker(trunk=trunk, more=sensors))
    assert own.robot.imu == pytest.approx((0.0, 1.0, 0.0, 0.0))
    assert build_model(own.robot).site("imu").pos == pytest.approx((0.0, 0.1, 0.03))
    assert warned(own, "of its IMUs the one at one is kept, not two")


def test_a_base_whose_frame_is_turned_stands_on_its_feet(tmp_path: Path) -> None:
    """The same robot in a body that is turned by a right angle about x, and everything on it turned back."""
    inner = f'<frame quat="0.7071068 -0.7071068 0 0">{TRUNK}{legs()}</frame>'
    key = HOME.replace("1 0 0 0", "0.7071068 0.7071068 0 0", 1)
    base = 'name="trunk" pos="0 0 0.4" quat="0.7071068 0.7071068 0 0"'
    text = f"""<mujoco><compiler angle="radian"/><worldbody>{FLOOR}<body {base}><freejoint/>{inner}</body></worldbody>
{servos()}<keyframe>{key}</keyframe></mujoco>"""
    report = held(tmp_path, text)
    plain = inspect_robot(written(tmp_path / "plain", walker()))
    assert report["stand_height"] == pytest.approx(plain["stand_height"], abs=1e-3)


def test_a_joint_may_have_the_name_of_a_foot(tmp_path: Path) -> None:
    limbs = legs().replace('_calf"', '_foot"').replace("_toe", "_foot")
    joints = [name.replace("calf", "foot") for name in JOINTS]
    report = held(tmp_path, walker(limbs=limbs, actuator=servos(joints=joints)))
    assert report["joints"] == joints and report["feet"] == [[f"{name}_foot"] for name in LEGS]


@pytest.mark.parametrize("name", ["base", "imu", "base_position", "floor", "world/base", "joint/FR_hip"])
def test_a_joint_may_have_the_name_of_anything_of_ours(name: str, tmp_path: Path) -> None:
    limbs = legs().replace('"FL_hip"', f'"{name}"')
    joints = [name, *JOINTS[1:]]
    report = held(tmp_path, walker(limbs=limbs, actuator=servos(joints=joints)))
    assert report["joints"] == joints and report["mirror"]["joints"][3] == name


def test_elements_may_have_the_names_of_ours(tmp_path: Path) -> None:
    trunk = TRUNK.replace('"trunk"', '"floor"') + '<site name="base_frame"/><site name="foot/FL_toe"/>'
    assert held(tmp_path, walker(trunk=trunk, world=""))["hold"]["falls"] == 0


def test_scenery_is_no_part_of_the_robot(tmp_path: Path) -> None:
    ground = '<body name="ground"><geom name="plate" type="plane" size="5 5 0.1"/></body>'
    marker = '<body name="marker" mocap="true"><geom type="sphere" size="0.1" contype="0" conaffinity="0"/></body>'
    report = held(tmp_path, walker(world=ground + marker, keys=HOME.replace("/>", ' mpos="0 0 0" mquat="1 0 0 0"/>')))
    assert report["feet"] == [[f"{name}_toe"] for name in LEGS]
    assert any("scenery, left out: ground, marker" in line for line in report["warnings"])


def test_geoms_of_one_link_are_one_foot_with_one_phase(tmp_path: Path) -> None:
    soles = "".join(
        f'<geom name="{{0}}_{k}" type="sphere" pos="{x} {y} -0.2" size="0.02" mass="0.01"/>'
        for k, (x, y) in enumerate(((-0.03, 0.01), (-0.03, -0.01), (0.05, 0.01), (0.05, -0.01)))
    )
    limbs = "".join(leg(n, 0.2 if n[0] == "F" else -0.2, foot=soles.format(n)) for n in LEGS)
    names = [f"{name}_{k}" for name in LEGS for k in range(4)]
    report = held(tmp_path, walker(limbs=limbs), {"feet": names})
    assert report["feet"] == [names[i : i + 4] for i in range(0, 16, 4)]
    assert report["gait"] == [0.0, 0.5, 0.5, 0.0]
    own = loaded(tmp_path, walker(limbs=limbs), {"feet": names})
    model, data = build_model(own.robot), None
    data = mujoco.MjData(model)
    assert own.robot.part(Legs).feet == tuple(f"{name}_calf_link" for name in LEGS)
    data.qpos[2] = 1.0
    mujoco.mj_forward(model, data)
    assert data.sensor("foot/FL_calf_link_contact").data[0] == 0.0
    middle = np.mean([data.geom(f"FL_{k}").xpos for k in range(4)], axis=0)
    assert data.sensor("foot/FL_calf_link_position").data == pytest.approx(middle, abs=1e-6)


def test_six_legs_walk_on_tripods_whatever_the_rounding(tmp_path: Path) -> None:
    names = ("FL", "FR", "ML", "MR", "RL", "RR")
    joints = [f"{name}_{joint}" for name in names for joint in ("hip", "thigh", "calf")]
    for shift in ("0.0", "1e-9", "-1e-9"):
        here = '<body name="ML_hip_link" pos="{} '
        limbs = legs(names=names).replace(here.format("0.0"), here.format(shift))
        own = loaded(tmp_path / shift, walker(limbs=limbs, actuator=servos(joints=joints), keys=""), {"stance": STANCE})
        assert own.gait == (0.0, 0.5, 0.5, 0.0, 0.0, 0.5)


TWO = '<position joint="{0}" kp="30" kv="1" forcerange="-20 20"/><position joint="{0}" kp="10" forcerange="-5 5"/>'
DAMPED = '<position joint="{0}" kp="40" forcerange="-20 20"/><velocity joint="{0}" kv="2" forcerange="-20 20"/>'


@pytest.mark.parametrize(
    ("form", "joint", "limit", "stiffness"),
    [
        ('<position joint="{0}" kp="40" kv="1" forcerange="-100 100"/>', 'actuatorfrcrange="-12 12"', 12.0, 40.0),
        ('<position joint="{0}" kp="40" kv="1" forcerange="-10 30"/>', "", 10.0, 40.0),
        ('<position joint="{0}" kp="40" kv="1" forcerange="-30 30"/>', 'actuatorfrcrange="-25 9"', 9.0, 40.0),
        ('<motor joint="{0}" gear="2" ctrlrange="-8 8" forcerange="-5 5"/>', "", 10.0, None),
        (TWO, "", 25.0, 40.0),
        (DAMPED, "", 40.0, 40.0),
    ],
)  # fmt: skip
def test_the_least_of_all_limits_holds_and_actuators_add_up(
    form: str, joint: str, limit: float, stiffness: float | None, tmp_path: Path
) -> None:
    own = loaded(tmp_path, walker(limbs=legs(joint), actuator=servos(form)))
    assert own.robot.torque_limit == pytest.approx((limit,) * 12)
    if stiffness is not None:
        assert own.robot.stiffness == pytest.approx((stiffness,) * 12)


def test_a_keyframe_beyond_the_limits_names_the_joint(tmp_path: Path) -> None:
    assert "stance of FL_thigh must be in [-1.0, 2.5], got 9.0" in refused(
        tmp_path, walker(keys=HOME.replace("0.8", "9"))
    )


@pytest.mark.parametrize("field", ["stiffness", "damping", "torque_limit", "stance", "joint_low", "action_scale"])
def test_a_key_that_is_in_no_joints_name_is_named(field: str, tmp_path: Path) -> None:
    line = refused(tmp_path, walker(), {field: {"hipp": 0.1, "calf": -0.5}})
    assert f"{field} has hipp, which is in no joint's name; did you mean hip" in line
    assert "did you mean calf" in refused(tmp_path, walker(), {field: {"knee": 0.1, "calv": -0.5}})


def test_mirror_parts_that_are_in_no_name_are_named(tmp_path: Path) -> None:
    assert "mirror has [LF, RF]" in refused(tmp_path, walker(), {"mirror": [["LF", "RF"]]})


def test_the_digest_changes_with_everything_that_the_file_includes(tmp_path: Path) -> None:
    (tmp_path / "legs.xml").write_text(f"<mujocoinclude>{legs()}</mujocoinclude>")
    text = walker(limbs='<include file="legs.xml"/>')
    first = loaded(tmp_path, text)
    assert loaded(tmp_path, text).digest == first.digest
    (tmp_path / "legs.xml").write_text(f"<mujocoinclude>{legs().replace('0.15', '0.16')}</mujocoinclude>")
    second = loaded(tmp_path, text)
    assert second.digest != first.digest
    # Runs of before are found by the digest of their time, which knew the file alone.
    assert second.digests[1] == first.digests[1]


@pytest.mark.parametrize("folder", ["job@2", "a#b", "two words", "größe", "50%40"])
def test_paths_with_special_characters_work(folder: str, tmp_path: Path) -> None:
    path = written(tmp_path / folder, walker(), {})
    name = own_name("velocity-flat", "", path)
    assert find_task(name).robot is not None
    assert find_task(f"velocity-flat@@{path}").robot is not None
