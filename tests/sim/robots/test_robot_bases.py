"""Which body of a file is the robot, and what a file without one, or without what is needed, is refused with."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import UserError
from sim.robots.legs import Legs
from sim.tasks.inspection import inspect_robot, load
from tests.sim.robots.walker import FLOOR, STANCE, legs, servos, walker, written

BALL = '<geom size="0.1" mass="1"/>'


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        load(written(folder, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("world", "line"),
    [
        ("", "its file holds no robot"),
        (f"<body><freejoint/>{BALL}</body>", "its file holds no robot"),
        (f'<body name="marker" mocap="true">{BALL}</body><body>{FLOOR}</body>', "its file holds no robot"),
        (f'<body name="a">{BALL}<body><joint type="ball"/>{BALL}</body></body>', "no hinge moves a body on a"),
        (
            f'<body name="a">{BALL}<body name="b"><joint axis="0 1 0" range="-1 1"/>{BALL}</body></body>',
            "joints without a name move b; give them names",
        ),
        (
            "".join(f'<body name="{n}">{BALL}<body><joint name="{n}"/>{BALL}</body></body>' for n in "ab"),
            "can't tell which body is the base: a and b have as many joints",
        ),
    ],
)
def test_a_file_without_a_robot_says_what_it_lacks(world: str, line: str, tmp_path: Path) -> None:
    assert line in refused(tmp_path, f'<mujoco><compiler angle="radian"/><worldbody>{world}</worldbody></mujoco>')


def test_a_crate_that_floats_is_no_base_beside_a_robot_that_does_not(tmp_path: Path) -> None:
    crate = f'<body name="crate"><freejoint/>{BALL}</body>'
    text = walker(world=FLOOR + crate).replace('<body name="trunk" pos="0 0 0.4"><freejoint/>', '<body name="trunk">')
    assert load(written(tmp_path, text, {"stance": STANCE})).robot.base == "trunk"


def test_a_keyframe_without_positions_is_no_stance_of_joints_that_can_not_be_at_zero(tmp_path: Path) -> None:
    own = load(written(tmp_path, walker(keys='<key name="home"/>')))
    assert own.robot.part(Legs).stance[2] < -0.1
    assert any("keyframe home gives no positions, and FL_calf can't be at 0 rad" in line for line in own.warnings)


def test_feet_above_the_base_are_said(tmp_path: Path) -> None:
    horn = '<joint name="{0}" axis="0 1 0" range="-1 1"/><geom type="capsule" fromto="0 0 0 0 0 0.2" size="0.01"/>'
    upwards = "".join(f'<body pos="0 {y} 0.1">{horn.format(n)}</body>' for n, y in (("FL_hip", 0.1), ("FR_hip", -0.1)))
    assert "stand_height must be above 0 m, got -0.0" in refused(
        tmp_path, walker(limbs=upwards, actuator=servos(joints=("FL_hip", "FR_hip")), keys="")
    )


def test_a_foot_may_have_the_name_of_the_floor(tmp_path: Path) -> None:
    limbs = legs().replace("FL_toe", "floor").replace("FR_toe", "robot/floor")
    own = load(written(tmp_path, walker(limbs=limbs, world="")))
    assert own.feet[:2] == (("floor",), ("robot/floor",))
    assert inspect_robot(written(tmp_path, walker(limbs=limbs, world="")))["hold"]["falls"] == 0


def test_the_joints_of_a_base_go_with_what_ties_them(tmp_path: Path) -> None:
    free = '<joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/>'
    more = """<equality><joint name="tie" joint1="x" joint2="z"/><tendon name="pull" tendon1="rope"/></equality>
<tendon><fixed name="rope"><joint joint="z" coef="1"/></fixed></tendon><actuator><motor tendon="rope"/></actuator>"""
    own = load(written(tmp_path, walker(free=free, more=more, keys=""), {"stance": STANCE}))
    assert any("are left out: x, z, rope, tie, pull" in line for line in own.warnings)


def test_a_name_with_a_tab_is_refused(tmp_path: Path) -> None:
    assert "'FL\\tcalf_link' has a tab" in refused(
        tmp_path, walker(limbs=legs().replace("FL_calf_link", "FL&#9;calf_link"))
    )


def test_stiff_servos_of_light_legs_take_shorter_steps_and_stand(tmp_path: Path) -> None:
    servo = '<position joint="{0}" kp="300" kv="1" forcerange="-60 60"/>'
    report = inspect_robot(written(tmp_path, walker(actuator=servos(servo))))
    assert report["solver"]["timestep"] < 0.01
    assert (report["hold"]["falls"], report["hold"]["failed_worlds"]) == (0, 0)


def test_files_that_are_named_or_written_otherwise_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dog.txt").write_text(walker())
    with pytest.raises(UserError, match=r"its name must end in \.xml or \.urdf"):
        load(str(tmp_path / "dog.txt"))
    (tmp_path / "dog.xml").write_bytes(walker().replace("FL_calf", "FL_größe").encode("latin-1"))
    with pytest.raises(UserError, match="save it as UTF-8"):
        load(str(tmp_path / "dog.xml"))


LINK = """<link name="{0}"><inertial>
<mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/>
</inertial><collision><origin xyz="0 0 -0.1"/><geometry><box size="0.05 0.05 0.2"/></geometry></collision></link>"""
JOINT = """<joint name="{0}" type="{1}"><origin xyz="{2}"/><parent link="{3}"/><child link="{4}"/><axis xyz="0 1 0"/>
<limit lower="-1" upper="1" effort="9" velocity="9"/></joint>"""


@pytest.mark.parametrize("root", ["world", "base_footprint"])
@pytest.mark.parametrize("kind", ["floating", "fixed"])
def test_a_urdf_may_float_on_an_empty_link(root: str, kind: str, tmp_path: Path) -> None:
    parts = f'<link name="{root}"/>' + LINK.format("trunk") + JOINT.format("root", kind, "0 0 1", root, "trunk")
    for side, y in (("left", 0.1), ("right", -0.1)):
        parts += LINK.format(side) + JOINT.format(f"{side}_hip", "revolute", f"0 {y} 0", "trunk", side)
        parts += LINK.format(f"{side}_foot") + JOINT.format(f"{side}_ankle", "fixed", "0 0 -0.2", side, f"{side}_foot")
    (tmp_path / "biped.urdf").write_text(f'<robot name="biped">{parts}</robot>')
    own = load(str(tmp_path / "biped.urdf"))
    assert own.robot.joints == ("left_hip", "right_hip") and own.mass == pytest.approx(5.0) and len(own.feet) == 2
    # The base is where the trunk is, not on the ground.
    assert own.robot.part(Legs).stand_height == pytest.approx(0.4, abs=0.05)
