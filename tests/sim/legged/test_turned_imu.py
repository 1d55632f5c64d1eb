"""A robot whose IMU is turned: it measures along its own axes, and the policy sees what any other robot's does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from policies.graph.symmetry import observation_mirror
from policies.signals import Commands, Sensors, State
from policies.terms.rotation import turning
from real.contract.mounting import body_orientation
from real.simulated.legged_body import LeggedBody
from real.simulated.legged_settings import RobotSettings
from real.simulated.robot_log import RobotLog
from sim.robots.legs import Legs
from sim.task import Task
from sim.tasks.inspection import load
from sim.tasks.own_robot import task_for
from tests.sim.robots.walker import TRUNK, walker, written

TURNS = ("0 1 0 0", "0.7071068 0 0 0.7071068", "0.5 0.5 0.5 0.5", "0.8 0.36 0.48 0")
SITE = '<site name="imu" pos="0 0 0.03" quat="{}"/>'
OBSERVED = ("gravity", "angular_velocity")


def task_of(folder: Path, turn: str) -> Task:
    return task_for("velocity-flat", load(written(folder, walker(trunk=TRUNK + SITE.format(turn)))))


def after(task: Task, steps: int) -> Sensors:
    """What 8 robots measure after some steps in their stance."""
    environment: Any = task.make_environment(8, 3, imperfections=0.0)
    sensors, _ = environment.reset()
    assert task.robot is not None
    stance = torch.tensor(task.robot.part(Legs).stance).repeat(8, 1)
    for _ in range(steps):
        sensors = environment.step(Commands({"joint_position_target": stance})).sensors
    return Sensors(dict(sensors))


@pytest.mark.parametrize("turn", TURNS)
def test_the_policy_sees_gravity_and_rates_in_the_axes_of_the_base(turn: str, tmp_path: Path) -> None:
    plain, turned = task_of(tmp_path / "plain", "1 0 0 0"), task_of(tmp_path / "turned", turn)
    one, other = after(plain, 7), after(turned, 7)
    assert float((one["angular_velocity"] - other["angular_velocity"]).abs().max()) > 0.01
    for name in OBSERVED:
        seen = [task.observation[name](sensors, State({})) for task, sensors in ((plain, one), (turned, other))]
        torch.testing.assert_close(seen[0], seen[1], atol=1e-4, rtol=0.0)
    # The specific force is along the IMU's own axes, too.
    assert turned.robot is not None and turned.robot.imu is not None
    force = other["linear_acceleration"] @ turning(turned.robot.imu)
    torch.testing.assert_close(force, one["linear_acceleration"], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("turn", TURNS)
def test_the_mirror_of_the_observation_is_that_of_any_other_robot(turn: str, tmp_path: Path) -> None:
    found = []
    for name in ("1 0 0 0", turn):
        task = task_of(tmp_path / name.replace(" ", "_"), name)
        assert task.mirror is not None
        found.append(observation_mirror(task.sensors, task.observation_terms, task.action, task.mirror))
    assert found[0] == found[1]


@pytest.mark.parametrize("turn", TURNS)
def test_the_robots_side_finds_the_tilt_of_the_body(turn: str, tmp_path: Path) -> None:
    task = task_of(tmp_path, turn)
    assert task.safety.imu == task.robot.imu  # type: ignore[union-attr]
    measured = after(task, 40)["orientation"].double().numpy()
    for row in measured:
        _, x, y, _ = body_orientation(row, task.safety.imu)
        assert 1.0 - 2.0 * (x * x + y * y) > np.cos(0.2)


@pytest.mark.parametrize("turn", TURNS)
def test_the_simulated_robot_sends_what_its_imu_measures(turn: str, tmp_path: Path) -> None:
    robot = task_of(tmp_path, turn).robot
    assert robot is not None and robot.imu is not None
    body = LeggedBody(robot, RobotSettings(noise=0.0), RobotLog("", "target"))
    for tick in range(50):
        body.step(0.01 * tick)
    _, _, sample = body.measure(0)
    w, x, y, z = body_orientation(sample.orientation, robot.imu)
    assert (w * w + z * z, x, y) == pytest.approx((1.0, 0.0, 0.0), abs=0.02)
    assert np.abs(sample.orientation[1:]).max() > 0.3
