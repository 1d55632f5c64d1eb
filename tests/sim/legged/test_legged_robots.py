"""The robots' descriptions: mass, order, mirror symmetry, and that they stand in their stance."""

from __future__ import annotations

from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest

from policies.errors import UserError
from sim.physics.mujoco.model import build_model
from sim.physics.world import Solver
from sim.robots import ROBOTS, find_robot
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legs import Legs, Mirror
from sim.robots.robot import Robot

LEGGED = sorted(name for name, robot in ROBOTS.items() if robot.has(Legs))


def standing(robot: Robot) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_model(robot, solver=Solver(timestep=0.005))
    data = mujoco.MjData(model)
    place(model, data, robot, np.array(robot.part(Legs).stance))
    data.ctrl[:] = robot.part(Legs).stance
    return model, data


def place(model: mujoco.MjModel, data: mujoco.MjData, robot: Robot, joints: np.ndarray) -> None:
    data.qpos[:7] = (0, 0, robot.part(Legs).stand_height, 1, 0, 0, 0)
    for name, value in zip(robot.joints, joints, strict=True):
        data.joint(name).qpos[0] = value
    mujoco.mj_forward(model, data)


def feet(data: mujoco.MjData, robot: Robot) -> np.ndarray:
    return np.array([data.sensor(f"foot/{foot}_position").data for foot in robot.part(Legs).feet])


def tilt(data: mujoco.MjData) -> float:
    """Angle of the base to the vertical in degrees."""
    _, x, y, _ = data.qpos[3:7]
    return float(np.degrees(2 * np.arcsin(np.hypot(x, y))))


def test_the_go1_weighs_what_its_links_do() -> None:
    """12.74 kg: the published links add up to 0.74 kg more than the robot's nominal 12 kg."""
    model = build_model(GO1)
    assert model.body_mass.sum() == pytest.approx(5.204 + 4 * (0.68 + 1.009 + 0.195862), abs=1e-6)
    assert model.body("RL_hip").ipos == pytest.approx((0.0049166, -0.00762615, -8.865e-05))


def test_the_go1_orders_its_joints_by_leg() -> None:
    legs = [name.split("_")[0] for name in GO1.joints]
    assert legs == [leg for leg in ("FR", "FL", "RR", "RL") for _ in range(3)]
    assert [name.split("_")[1] for name in GO1.joints[:3]] == ["hip", "thigh", "calf"]


def test_the_go1_stands_in_its_stance() -> None:
    model, data = standing(GO1)
    while data.time < 2.0:
        mujoco.mj_step(model, data)
    assert np.isfinite(data.qpos).all()
    assert data.qpos[2] == pytest.approx(0.26, abs=0.01)
    assert tilt(data) < 3.0
    assert np.abs(data.qvel[:3]).max() < 0.05
    touching = [data.sensor(f"foot/{foot}_contact").data[0] for foot in GO1.part(Legs).feet]
    assert touching == [1.0] * 4
    assert data.ncon == 4


@pytest.mark.parametrize("name", LEGGED)
def test_actuators_and_sensors_follow_the_specs_order(name: str) -> None:
    robot = find_robot(name)
    model, data = standing(robot)
    assert [model.actuator(i).name for i in range(model.nu)] == list(robot.joints)
    command = np.array(robot.part(Legs).stance) + np.linspace(-0.02, 0.02, len(robot.joints))
    data.ctrl[:] = command
    mujoco.mj_forward(model, data)
    for i, joint in enumerate(robot.joints):
        assert data.sensor(f"joint/{joint}_position").data[0] == pytest.approx(robot.part(Legs).stance[i])
        torque = robot.stiffness[i] * (command[i] - robot.part(Legs).stance[i])
        assert data.sensor(f"joint/{joint}_torque").data[0] == pytest.approx(torque, abs=1e-9)
        assert abs(torque) < robot.torque_limit[i]


@pytest.mark.parametrize("name", LEGGED)
def test_a_mirrored_pose_mirrors_the_feet(name: str) -> None:
    robot = find_robot(name)
    model, data = standing(robot)
    low, high = np.array(robot.joint_low), np.array(robot.joint_high)
    pose = np.random.default_rng(0).uniform(low, high)
    mirrored = np.array(robot.part(Legs).mirror.joint_sign) * pose[list(robot.part(Legs).mirror.joint_from)]
    place(model, data, robot, pose)
    there = feet(data, robot)
    place(model, data, robot, mirrored)
    assert feet(data, robot) == pytest.approx((there * (1, -1, 1))[list(robot.part(Legs).mirror.foot_from)], abs=1e-6)


@pytest.mark.parametrize("name", LEGGED)
def test_the_stance_is_its_own_mirror_and_torques_are_limited(name: str) -> None:
    robot = find_robot(name)
    stance = np.array(robot.part(Legs).stance)
    assert np.array(robot.part(Legs).mirror.joint_sign) * stance[
        list(robot.part(Legs).mirror.joint_from)
    ] == pytest.approx(stance)
    model, data = standing(robot)
    data.ctrl[:] = 100.0
    mujoco.mj_forward(model, data)
    assert data.actuator_force == pytest.approx(robot.torque_limit)


@pytest.mark.parametrize("name", LEGGED)
def test_a_fallen_robot_rests_on_its_body(name: str) -> None:
    robot = find_robot(name)
    model, data = standing(robot)
    data.qpos[3:7] = (0, 1, 0, 0)
    while data.time < 2.0:
        mujoco.mj_step(model, data)
    assert np.isfinite(data.qpos).all()
    assert data.qpos[2] > 0.03
    assert not any(model.geom_bodyid[contact.geom].all() for contact in data.contact)


@pytest.mark.parametrize(
    ("mirror", "line"),
    [
        (((1, 2, 0), (1.0, 1.0, 1.0), (0,)), "must be an involution, but 0 takes from 1"),
        (((1, 1, 2), (1.0, 1.0, 1.0), (0,)), "every index from 0 to 2 once"),
        (((1, 0), (1.0, -1.0), (0,)), "same for joints 0 and 1"),
        (((1, 0), (0.5, 2.0), (0,)), "must be 1 or -1"),
        (((1, 0), (1.0,), (0,)), "joint_sign needs 2 values, got 1"),
    ],
)
def test_a_mirror_is_an_involution(
    mirror: tuple[tuple[int, ...], tuple[float, ...], tuple[int, ...]], line: str
) -> None:
    with pytest.raises(UserError, match=line):
        Mirror(*mirror)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"stance": (0.0,) * 11}, "stance needs 12 values, one per joint, got 11"),
        ({"stance": (0.0,) * 12}, "stance of FR_calf_joint must be in"),
        ({"joint_low": (1.0,) * 12}, "joint_low of FR_hip_joint must be below joint_high"),
        ({"stiffness": (0.0,) * 12}, "stiffness of FR_hip_joint must be above 0"),
        ({"damping": (-1.0,) * 12}, "damping of FR_hip_joint must be at least 0"),
        ({"stand_height": 0.0}, "stand_height must be above 0"),
        ({"feet": ("FR_foot",) * 4}, "feet names FR_foot twice"),
        ({"feet": ("FR_foot",)}, "mirror.foot_from needs 1 values, got 4"),
    ],
)
def test_a_spec_is_checked_when_it_is_built(change: dict[str, object], line: str) -> None:
    of_legs = next(iter(change)) in {field.name for field in fields(Legs)}
    changed = {"parts": (replace(GO1.part(Legs), **change),)} if of_legs else change  # type: ignore[arg-type]
    with pytest.raises(UserError, match=line):
        replace(GO1, **changed)


def test_what_does_not_fit_the_mjcf_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"no robot 'go2'\. Did you mean go1"):
        find_robot("go2")
    with pytest.raises(UserError, match="not valid MJCF") as caught:
        build_model(replace(GO1, mjcf=lambda: "<mujoco><worldbody><body></mujoco>"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"the MJCF has no body torso; it has .*trunk"):
        build_model(replace(GO1, base="torso"))


def test_the_h1_stands_for_a_second_under_its_gains_alone() -> None:
    """A biped's ankles are too weak to balance it passively: without a policy it tips over after about 1.5 s."""
    model, data = standing(H1)
    assert model.body_mass.sum() == pytest.approx(51.437, abs=1e-3)
    while data.time < 1.0:
        mujoco.mj_step(model, data)
    assert data.qpos[2] == pytest.approx(H1.part(Legs).stand_height, abs=0.03)
    assert tilt(data) < 6.0
