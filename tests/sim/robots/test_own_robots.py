"""Robots from any MJCF with a short spec, and from MuJoCo Menagerie: what is derived, and what one line asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mujoco
import mujoco_menagerie
import numpy as np
import pytest
import torch
import yaml

from policies.errors import UserError
from policies.signals import Commands
from sim.physics.mujoco.model import build_model
from sim.physics.mujoco.physics import MujocoPhysics
from sim.physics.world import Solver
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legs import Legs
from sim.robots.loading import load_robot
from sim.robots.robot import Robot
from sim.tasks import find_task
from sim.tasks.own_robot import own_name

LEGS = GO1.part(Legs)

SCENE = """
<mujoco model="toy">
  <compiler angle="radian"/>
  <asset><texture name="sky" type="skybox" builtin="flat" rgb1="1 1 1" width="8" height="8"/></asset>
  <worldbody>
    <light pos="0 0 3"/>
    <geom name="floor" type="plane" size="5 5 1"/>
    <body name="chest" pos="0 0 0.5">
      <freejoint/>
      <geom name="chest" type="box" size="0.2 0.1 0.05" mass="5"/>
      <body name="antenna" pos="0 0 0.1">
        <joint name="antenna" axis="0 0 1" range="-1 1"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.1" size="0.01" mass="0.05"/>
      </body>
      {legs}
    </body>
  </worldbody>
  <actuator>{motors}</actuator>
  <sensor><jointpos joint="antenna"/></sensor>
  <keyframe><key name="home" qpos="0 0 0.5 1 0 0 0 0 {pose}"/></keyframe>
</mujoco>
"""
LEG = """
<body name="{s}_thigh" pos="0 {y} -0.05">
  <joint name="{s}_roll" axis="{roll} 0 0" range="-0.5 0.5"/>
  <joint name="{s}_pitch" axis="0 1 0" range="-1 1"/>
  <geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02" mass="0.5"/>
  <body name="{s}_shin" pos="0 0 -0.2">
    <joint name="{s}_knee" axis="0 1 0" range="-2 0.1"/>
    <geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.02" mass="0.3"/>
    <geom type="sphere" pos="0 0 -0.2" size="0.03" mass="0.1"/>
  </body>
</body>
"""
JOINTS = [f"{side}_{joint}" for side in ("left", "right") for joint in ("roll", "pitch", "knee")]


def toy(folder: Path, motor: str = '<position joint="{}" kp="50" kv="2" forcerange="-30 30"/>', **spec: Any) -> Path:
    """A biped with an antenna, whose right leg's roll axis points backward; and its spec."""
    legs = LEG.format(s="left", y=0.1, roll=1) + LEG.format(s="right", y=-0.1, roll=-1)
    motors = "".join(motor.format(joint) for joint in JOINTS)
    text = SCENE.format(legs=legs, motors=motors, pose="0.1 0.3 -0.6 0.1 0.3 -0.6")
    (folder / "toy.xml").write_text(text)
    document = {"mjcf": "toy.xml", "joints": JOINTS, **spec}
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def refusal(spec: Path | str = "", mjcf: str = "") -> str:
    with pytest.raises(UserError) as caught:
        load_robot(mjcf, str(spec))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_the_mjcf_says_need_not_be_said_again(tmp_path: Path) -> None:
    own = load_robot(spec=str(toy(tmp_path)))
    robot = own.robot
    assert robot.name == "toy" and robot.base == "chest" and robot.joints == tuple(JOINTS)
    assert robot.stiffness == (50.0,) * 6 and robot.damping == (2.0,) * 6 and robot.torque_limit == (30.0,) * 6
    assert robot.joint_low == (-0.5, -1.0, -2.0) * 2 and robot.joint_high == (0.5, 1.0, 0.1) * 2
    assert robot.part(Legs).stance == (0.1, 0.3, -0.6) * 2
    assert robot.part(Legs).feet == ("left_shin_foot", "right_shin_foot")
    assert own.foot_height == pytest.approx(0.03, abs=1e-3)
    assert own.gait == (0.0, 0.5)
    # The roll axes point opposite ways, so that a mirrored roll has the same sign.
    assert robot.part(Legs).mirror.joint_from == (3, 4, 5, 0, 1, 2)
    assert robot.part(Legs).mirror.joint_sign == (1.0,) * 6
    assert robot.part(Legs).mirror.foot_from == (1, 0)


def test_the_world_of_an_own_robot_has_our_actuators_and_sensors_and_no_scene(tmp_path: Path) -> None:
    robot = load_robot(spec=str(toy(tmp_path))).robot
    model = build_model(robot, solver=Solver(timestep=0.005))
    assert [model.actuator(i).name for i in range(model.nu)] == JOINTS
    assert model.njnt == 7 and model.nkey == 0
    data = mujoco.MjData(model)
    data.qpos[2] = robot.part(Legs).stand_height
    for name, value in zip(robot.joints, robot.part(Legs).stance, strict=True):
        data.joint(name).qpos[0] = value
    data.ctrl[:] = robot.part(Legs).stance
    mujoco.mj_forward(model, data)
    assert data.sensor("foot/left_shin_foot_position").data[2] == pytest.approx(0.03, abs=0.01)
    mujoco.mj_step(model, data, 40)
    assert data.sensor("foot/left_shin_foot_contact").data[0] + data.sensor("foot/right_shin_foot_contact").data[0] > 0
    assert np.isfinite(data.qpos).all()
    physics = MujocoPhysics(model, 1)
    missing = "no sensor 'foot/left_shin_foot_kontact'; did you mean foot/left_shin_foot_contact"
    with pytest.raises(UserError, match=missing):
        physics.columns("foot/left_shin_foot_kontact")


@pytest.mark.parametrize("robot", [GO1, H1], ids=lambda robot: robot.name)
def test_a_built_in_robot_is_derived_from_its_own_mjcf(robot: Robot, tmp_path: Path) -> None:
    (tmp_path / "robot.xml").write_text(robot.mjcf())
    spec = {name: list(getattr(robot, name)) for name in ("stiffness", "damping", "torque_limit")}
    spec["stance"] = list(robot.part(Legs).stance)
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump({"mjcf": "robot.xml", **spec}))
    derived = load_robot(spec=str(tmp_path / "robot.yaml")).robot
    for name in ("base", "joints", "joint_low", "joint_high"):
        assert getattr(derived, name) == getattr(robot, name)
    for name in ("feet", "mirror"):
        assert getattr(derived.part(Legs), name) == getattr(robot.part(Legs), name)
    assert derived.part(Legs).stand_height == pytest.approx(robot.part(Legs).stand_height, abs=1e-6)


def test_values_by_part_of_a_name_and_a_mirror_by_names(tmp_path: Path) -> None:
    path = toy(
        tmp_path, stiffness={"knee": 80, "left_knee": 90, "roll": 20}, torque_limit=12, mirror=[["left", "right"]],
        mirror_sign={"left_roll": -1, "right_roll": -1}, gait=[0.25, 0.75],
    )  # fmt: skip
    own = load_robot(spec=str(path))
    assert own.robot.stiffness == (20.0, 50.0, 90.0, 20.0, 50.0, 80.0)
    assert own.robot.torque_limit == (12.0,) * 6
    assert own.robot.part(Legs).mirror.joint_sign == (-1.0, 1.0, 1.0) * 2
    assert own.robot.part(Legs).mirror.joint_from == (3, 4, 5, 0, 1, 2)
    assert own.gait == (0.25, 0.75)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"joints": ["left_roll", "left_elbow"]}, "has no left_elbow for joints; did you mean .*left_knee"),
        ({"feet": ["toe"]}, "has no toe for feet"),
        ({"base": "hip"}, "no body hip; it has chest"),
        ({"stance": [0.0]}, "stance needs 6 values, one per joint, got 1"),
        ({"stance": {"knee": 1.0}}, r"stance of left_knee must be in \[-2.0, 0.1\], got 1.0"),
        ({"stiffness": "high"}, "stiffness must hold numbers, got 'high'"),
        ({"legs": 2}, "has no field legs; fields: name, mjcf"),
        ({"mirror": "FR"}, "mirror must hold pairs"),
        ({"joints": JOINTS[:3]}, "joint left_roll has no mirror image .* add mirror:"),
        ({"mirror_sign": {"left_roll": -1}, "mirror": [["left", "right"]]}, "the same for joints 0 and 3"),
        ({"gait": [0.0]}, "gait needs 2 phases"),
        ({"mjcf": "nothing.xml"}, "there is no MJCF file"),
        ({"mjcf": ""}, "name the robot's MJCF with --robot.mjcf"),
    ],
)
def test_a_spec_that_does_not_fit_is_one_clear_line(change: dict[str, Any], line: str, tmp_path: Path) -> None:
    assert re.search(line, refusal(toy(tmp_path, **change)))


def test_what_neither_spec_nor_mjcf_says_is_asked_for(tmp_path: Path) -> None:
    path = toy(tmp_path, motor='<motor joint="{}"/>')
    assert re.search("gives no torque_limit of left_roll, .*; add torque_limit: VALUE", refusal(path))
    path = toy(tmp_path, motor='<motor joint="{}" ctrlrange="-9 9" gear="2"/>', stiffness=40, damping=1)
    assert load_robot(spec=str(path)).robot.torque_limit == (18.0,) * 6


def test_malformed_files_are_one_clear_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_text("<mujoco><worldbody><body></mujoco>")
    assert "bad.xml is not valid MJCF" in refusal(mjcf=str(bad))
    bad.write_text('<mujoco><worldbody><body name="b"><joint name="j" type="hinge"/></body></worldbody></mujoco>')
    assert "does not compile" in refusal(mjcf=str(bad))
    spec = tmp_path / "spec.yaml"
    spec.write_text("a: [")
    assert "is not YAML" in refusal(spec)
    spec.write_text("just text")
    assert "must hold fields such as" in refusal(spec)
    assert "can't read the robot's spec" in refusal(tmp_path / "none.yaml")


def test_a_task_of_an_own_robot_is_found_by_its_full_name_while_the_files_stay(tmp_path: Path) -> None:
    path = toy(tmp_path)
    name = own_name("velocity-flat", "", str(path))
    task = find_task(name)
    assert task.name == "toy-velocity-flat"
    environment = task.make_environment(4, 0, randomized=True)
    environment.reset()
    step = environment.step(Commands({"joint_position_target": torch.zeros(4, 6)}))
    assert step.sensors["joint_position"].shape == (4, 6)
    assert torch.isfinite(step.reward).all()
    toy(tmp_path, stiffness=60)
    find_task.__globals__["own_task"].cache_clear()
    with pytest.raises(UserError, match="changed since this run was made"):
        find_task(name)
    with pytest.raises(UserError, match="no task 'velocity-slow' takes a robot of your own; those that do: vel"):
        own_name("velocity-slow", "", str(path))


def test_menagerie_without_a_network_says_how_to_set_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MENAGERIE_ROOT", "MENAGERIE_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MENAGERIE_BASE_URL", (tmp_path / "nowhere").as_uri())
    line = refusal(mjcf="menagerie:unitree_go1")
    assert "can't be downloaded" in line and "set MENAGERIE_CACHE_DIR" in line and "MENAGERIE_ROOT" in line
    assert "Did you mean 'unitree_go1'" in refusal(mjcf="menagerie:unitree_go11")


def test_a_robot_in_menageries_cache_is_loaded_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cached model is a stand-in: our own Go1 under the name and in the place of Menagerie's."""
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "cache"))
    known = mujoco_menagerie.get("unitree_go1")
    folder = mujoco_menagerie.Cache().model_path(known)
    folder.mkdir(parents=True)
    (folder / known.entry(known.default_model).file).write_text(GO1.mjcf())
    (folder / ".complete").write_text("{}")
    spec = tmp_path / "go1.yaml"
    spec.write_text(
        yaml.safe_dump(
            {
                "stance": list(LEGS.stance),
                "stiffness": 35,
                "damping": 0.5,
                "torque_limit": {"calf": 35.55, "": 23.7},
            }
        )
    )
    own = load_robot("menagerie:unitree_go1", str(spec))
    assert own.robot.name == "unitree_go1"
    assert own.robot.joints == GO1.joints and own.robot.part(Legs).mirror == LEGS.mirror
    assert own.robot.torque_limit == pytest.approx(GO1.torque_limit)
    assert own.gait == (0.5, 0.0, 0.0, 0.5)
