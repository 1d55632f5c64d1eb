"""The simulated legged robot without its process: which commands it obeys, its watchdog, and what its motors do."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from real.ros.legged_messages import JointCommand
from real.simulated.legged_body import LeggedBody
from real.simulated.legged_settings import RobotSettings
from real.simulated.robot_log import RobotLog, read_path
from sim.robots.go1 import GO1
from sim.robots.legs import Legs

LEGS = GO1.part(Legs)

PERIOD = 0.002


class Robot:
    """A body, its clock, and a host that may command it 50 times a second."""

    def __init__(self, log: str = "", **settings: Any) -> None:
        self.log = RobotLog(log, "target")
        self.body = LeggedBody(GO1, RobotSettings(**settings), self.log)
        self.now = 100.0
        self.sequence = 0
        self.run(0.2)
        self.body.request("arm", self.now)

    def command(self, **changes: Any) -> JointCommand:
        self.sequence += 1
        robot = self.body.robot
        stamp = round((self.now - 0.005) * 1e9)
        return replace(JointCommand(stamp, "host", self.sequence, robot.joints, robot.part(Legs).lying), **changes)

    def run(self, seconds: float, target: Any = None) -> None:
        """Run, commanded to `target` in 50 steps a second where one is given."""
        for step in range(round(seconds / PERIOD)):
            self.now += PERIOD
            if target is not None and step % 10 == 0:
                assert self.body.command(self.command(values=tuple(target)), self.now) == ""
            self.body.step(self.now)

    def stand(self) -> None:
        lying, stance = np.array(self.body.robot.part(Legs).lying), np.array(self.body.robot.part(Legs).stance)
        self.run(0.02, lying)
        for share in np.linspace(0.0, 1.0, 100):
            self.run(0.02, lying + share * (stance - lying))

    @property
    def height(self) -> float:
        return float(self.body._data.qpos[self.body._pose + 2])


BAD = (
    ({"names": (*GO1.joints[:11], "tail")}, "unknown joint"),
    ({"names": GO1.joints[:11], "values": (0.0,) * 11}, "wrong length"),
    ({"values": (math.nan, *LEGS.lying[1:])}, "non-finite"),
    ({"values": (math.inf, *LEGS.lying[1:])}, "non-finite"),
    ({"values": (2.0, *LEGS.lying[1:])}, "out of limits"),
    ({"stamp": round(99.8 * 1e9)}, "stale"),
    ({"stamp": round(100.5 * 1e9)}, "from the future"),
    ({"writer": "second-writer"}, "not the owner"),
    ({"sequence": 1}, "out of order"),
)


@pytest.mark.parametrize(("changes", "cause"), BAD)
def test_what_it_does_not_obey_is_counted_and_moves_nothing(changes: dict[str, Any], cause: str) -> None:
    robot = Robot()
    assert robot.body.command(robot.command(), robot.now) == ""
    before = robot.body._target.copy()
    robot.now += PERIOD
    assert robot.body.command(robot.command(**changes), robot.now) == cause
    assert robot.body.gate.rejected == {cause: 1}
    assert (robot.body._target == before).all()


def test_joints_are_commanded_by_name() -> None:
    robot = Robot()
    order = np.random.default_rng(0).permutation(12)
    command = robot.command(
        names=tuple(GO1.joints[i] for i in order), values=tuple(LEGS.lying[i] for i in order)
    )  # fmt: skip
    assert robot.body.command(command, robot.now) == ""
    assert robot.body._target == pytest.approx(LEGS.lying)


def test_a_robot_that_has_just_started_obeys_nobody_and_its_first_motion_is_no_jump() -> None:
    body = LeggedBody(GO1, RobotSettings(), RobotLog("", "target"))
    command = JointCommand(round(99.99e9), "host", 1, GO1.joints, LEGS.stance)
    assert body.command(command, 100.0) == "not armed"
    robot = Robot()
    assert robot.body.command(robot.command(values=LEGS.stance), robot.now) == "far from the joints"
    assert robot.body.mode == "ready"
    assert robot.body.command(robot.command(), robot.now) == ""


def test_it_stands_up_when_led_and_sinks_when_the_commands_stop(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    robot = Robot(str(path))
    robot.run(0.3)
    assert robot.height < 0.12
    robot.stand()
    robot.run(0.3, LEGS.stance)
    assert robot.height > 0.22
    robot.run(1.5)
    assert robot.body.mode == "failsafe"
    assert robot.height < 0.12
    robot.log.close()
    (_, _, change) = [r for r in map(json.loads, path.read_text().splitlines()) if r["kind"] == "state"]
    assert change["cause"] == "no accepted command for 0.2 s"
    times, poses, modes = read_path(path)
    assert len(times) == len(poses) == len(modes)
    assert poses[:, 2].max() > 0.22
    # It obeys nobody until it is armed, which it grants at rest.
    assert robot.body.command(robot.command(), robot.now) == "not armed"
    robot.body.request("arm", robot.now)
    assert robot.body.mode == "ready"


def test_its_motors_keep_to_their_torque_and_damp_without_stiffness() -> None:
    robot = Robot()
    robot.stand()
    robot.body.handle("push 0 0 0 20 0 0", robot.now)
    for _ in range(200):
        robot.run(PERIOD, LEGS.stance)
        assert (np.abs(robot.body._data.actuator_force) <= np.array(GO1.torque_limit) + 1e-9).all()
    robot.body.request("stop", robot.now)
    robot.run(PERIOD)
    body = robot.body
    assert (body._model.actuator_gainprm[:, 0] == 0.0).all()
    assert (body._model.actuator_biasprm[:, 2] == -2.0).all()
    body.request("estop", robot.now)
    robot.run(PERIOD)
    assert (np.abs(body._data.actuator_force) == 0.0).all()


def test_a_stop_of_a_lying_robot_is_rest_and_of_a_standing_one_a_fail_safe() -> None:
    robot = Robot()
    robot.run(0.1, LEGS.lying)
    robot.body.request("stop", robot.now)
    assert robot.body.mode == "resting"
    robot = Robot()
    robot.stand()
    robot.body.request("stop", robot.now)
    assert robot.body.mode == "failsafe"


def test_a_push_comes_when_it_was_asked_for() -> None:
    robot = Robot(push=(0.0, 1.0, 0.0), push_at=0.1, noise=0.0)
    robot.run(0.09, LEGS.lying)
    assert abs(float(robot.body._data.qvel[1])) < 0.1
    robot.run(0.02, LEGS.lying)
    assert float(robot.body._data.qvel[1]) > 0.3


def test_it_measures_itself_with_noise_that_can_be_switched_off() -> None:
    exact, noisy = Robot(noise=0.0), Robot(noise=1.0)
    for robot in (exact, noisy):
        robot.run(0.5)
    joints, _, imu = exact.body.measure(1)
    assert joints.position == pytest.approx(exact.body._data.qpos[exact.body._q])
    assert imu.linear_acceleration == pytest.approx([0.0, 0.0, 9.81], abs=0.3)
    assert imu.orientation == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=0.02)
    other, _, _ = noisy.body.measure(1)
    assert 0.0 < np.abs(other.position - joints.position).max() < 0.03


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensor_rate": 300.0}, "500 divided by a whole number"),
        ({"watchdog": 0.0}, "watchdog is 0.0 s"),
        ({"stiffness_scale": 0.0}, "stiffness_scale is 0.0"),
        ({"push": (99.0, 0.0, 0.0)}, "at most 10 m/s"),
        ({"noise": -1.0}, "noise is -1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RobotSettings(**changes)


@pytest.mark.parametrize("terrain", ["stairs_up:3", "slope_down:3"])
def test_on_terrain_it_lies_on_the_ground_stands_up_there_and_maps_it(terrain: str) -> None:
    robot = Robot(terrain=terrain)
    ground = robot.body._course.start[2]
    assert abs(ground) > 0.2
    assert 0.0 < robot.height - ground < 0.15
    robot.stand()
    robot.run(0.5, LEGS.stance)
    assert robot.body.mode == "active"
    assert robot.height - ground == pytest.approx(LEGS.stand_height, abs=0.05)
    stamp = round(robot.now * 1e9)
    pose, found = robot.body.pose(stamp), robot.body.elevation(stamp)
    assert pose.position[2] == pytest.approx(robot.height)
    assert found.at(pose.position[None, :2])[0] == pytest.approx(ground, abs=1e-4)
    assert np.isfinite(found.heights).all()
