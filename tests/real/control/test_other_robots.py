"""An arm without a lying pose and a base on wheels without a tilt run through session, loop and supervisor as they are:
their kinds, missions and drivers are made here, and nothing else knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from deploy.bundle.manifest import Manifest, Timing
from policies.errors import UserError
from policies.specs import CommandSpec, JointSpec, MotorSpec, SafetyEnvelope, SensorSpec
from real.contract.offer import (
    JOINT_COMMAND,
    JOINT_POSITION,
    JOINT_TARGET,
    JOINT_VELOCITY,
    LINEAR_VELOCITY,
    POSITION,
    Offer,
    Signal,
)
from real.contract.robot import Array
from real.control.session import SessionSettings, run_session
from real.missions.mission import Kind
from real.recording.report import FlightReport
from tests.real.control.other_robots import Device, Errand, FollowGoal
from tests.real.fake_robot import FakeClock, make_manifest

JOINTS = ("shoulder", "elbow")
PERIOD, RATE = 0.02, 4.0
HOME = {JOINT_COMMAND: np.array([0.0, 0.5])}
AT_REST = {"base_velocity": np.zeros(2)}


class Reach(Errand):
    kind: ClassVar[Kind] = Kind(
        "reach", goals=(Signal("joint_goal", 2, "rad", "joint", JOINTS),), demands=("joints", "joints.motors")
    )


class Drive(Errand):
    kind: ClassVar[Kind] = Kind(
        "drive",
        goals=(Signal("drive_command", 2, "m/s, rad/s", "body"),),
        demands=("safety.max_speed", "safety.geofence_low"),
    )


def arm_manifest(**changes: Any) -> Manifest:
    """Two joints, held by motors: no tilt, no place, no pose to stand or lie in."""
    values: dict[str, Any] = {
        "kind": "reach",
        "timing": Timing(PERIOD),
        "sensors": (
            SensorSpec("joint_position", 2, "rad", "joint", -4.0, 4.0, labels=JOINTS),
            SensorSpec("joint_goal", 2, "rad", "joint", -3.0, 3.0, labels=JOINTS),
        ),
        "commands": (CommandSpec(JOINT_COMMAND, 2, "rad", -2.0, 2.0, RATE, JOINTS, (0.0, 0.5), "joint"),),
        "safety": SafetyEnvelope(None, 0.1, 0.1),
        "joints": JointSpec(JOINTS, (-2.0, -2.0), (2.0, 2.0), MotorSpec((20.0, 20.0), (1.0, 1.0), (2.0, 2.0))),
    }
    return make_manifest(**{**values, **changes})


class Arm(Device):
    """Joints that come a tenth of the way to their targets every 5 ms, from 1 rad each."""

    def __init__(self, clock: FakeClock, **offer: Any) -> None:
        self.q = np.array([1.0, 1.0])
        standard = Offer((JOINT_POSITION, JOINT_VELOCITY), (JOINT_TARGET,))
        super().__init__("arm", clock, replace(standard, **offer))

    def sense(self) -> dict[str, Array]:
        return {"joint_position": self.q.copy(), "joint_velocity": np.zeros(2)}

    def move(self, command: Mapping[str, Array], dt: float) -> None:
        self.q += 0.1 * (command[JOINT_COMMAND] - self.q)


def base_manifest(**changes: Any) -> Manifest:
    """A planar velocity command; a speed limit and a geofence, and no tilt."""
    values: dict[str, Any] = {
        "kind": "drive",
        "timing": Timing(PERIOD),
        "sensors": (
            SensorSpec("linear_velocity", 3, "m/s", "world", -5.0, 5.0),
            SensorSpec("drive_command", 2, "m/s, rad/s", "body", -1.0, 1.0),
        ),
        "commands": (
            CommandSpec("base_velocity", 2, "m/s, rad/s", -1.0, 1.0, RATE, ("forward", "yaw"), 0.0, "body"),
        ),
        "safety": SafetyEnvelope(None, 0.1, 0.1, max_speed=0.8, geofence_low=(-2.0, -2.0, -1.0),
                                 geofence_high=(2.0, 2.0, 1.0)),
        "joints": None,
    }  # fmt: skip
    return make_manifest(**{**values, **changes})


class Base(Device):
    """A base that moves as commanded, `slip` times as fast."""

    def __init__(self, clock: FakeClock) -> None:
        self.position, self.velocity, self.yaw, self.slip = np.zeros(3), np.zeros(3), 0.0, 1.0
        commands = (Signal("base_velocity", 2, "m/s, rad/s", "body", ("forward", "yaw")),)
        super().__init__("base", clock, Offer((POSITION, LINEAR_VELOCITY), commands))

    def sense(self) -> dict[str, Array]:
        return {"position": self.position.copy(), "linear_velocity": self.velocity.copy()}

    def move(self, command: Mapping[str, Array], dt: float) -> None:
        forward, yaw = command["base_velocity"]
        self.yaw += dt * float(yaw)
        self.velocity = self.slip * float(forward) * np.array([np.cos(self.yaw), np.sin(self.yaw), 0.0])
        self.position = self.position + dt * self.velocity


def reach(
    goal: tuple[float, float] = (0.2, -0.4), manifest: Manifest | None = None, **offer: Any
) -> tuple[FlightReport, Arm]:
    clock = FakeClock()
    arm, bundle = Arm(clock, **offer), FollowGoal(manifest or arm_manifest(), "joint_goal")
    return run_session(bundle, arm, Reach(goal, HOME), SessionSettings(), clock), arm


def drive(goal: tuple[float, float], slip: float = 1.0, duration: float = 1.0) -> tuple[FlightReport, Base]:
    clock = FakeClock()
    base, bundle = Base(clock), FollowGoal(base_manifest(), "drive_command")
    base.slip = slip
    return run_session(bundle, base, Drive(goal, AT_REST, duration), SessionSettings(), clock), base


def test_an_arm_reaches_its_goal_and_goes_home() -> None:
    report, arm = reach()
    assert (report.success, report.outcome) == (True, "done and at rest")
    assert [s.target for s in report.states] == ["READY", "POLICY", "HALT", "IDLE"]
    targets = np.array([command[JOINT_COMMAND] for command in arm.commands])
    assert np.abs(targets[0] - 1.0).max() <= RATE * 2 * PERIOD + 1e-9, "the first target is near the joints"
    assert np.abs(np.diff(targets, axis=0)).max() <= RATE * PERIOD + 1e-3
    assert np.abs(targets - [0.2, -0.4]).max(axis=1).min() < 1e-6
    assert targets[-1].tolist() == HOME[JOINT_COMMAND].tolist()
    assert arm.calls == ["stop"] * 3


def test_a_blocked_joint_is_asked_for_no_more_torque_than_there_is() -> None:
    clock = FakeClock()
    arm, bundle = Arm(clock), FollowGoal(arm_manifest(), "joint_goal")
    arm.move = lambda command, dt: None  # type: ignore[method-assign]
    report = run_session(
        bundle, arm, Reach((-2.0, -2.0), {JOINT_COMMAND: np.array([1.0, 1.0])}), SessionSettings(), clock
    )
    asked = [20.0 * (1.0 - command[JOINT_COMMAND]) for command in arm.commands]
    assert np.max(asked) == pytest.approx(2.0)
    assert "torque_clamped" in {event.cause for event in report.events}


def test_a_base_drives_and_stops() -> None:
    report, base = drive((0.5, 0.0))
    assert (report.success, report.outcome) == (True, "done and at rest")
    assert base.position[0] == pytest.approx(0.5, abs=0.1)
    assert base.commands[-1]["base_velocity"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("goal", "slip", "duration", "cause"), [((0.7, 0.0), 1.5, 2.0, "speed"), ((0.7, 0.0), 1.0, 9.0, "geofence")]
)
def test_a_base_beyond_its_envelope_is_released(
    goal: tuple[float, float], slip: float, duration: float, cause: str
) -> None:
    report, base = drive(goal, slip, duration)
    assert (report.final_state, report.outcome) == ("DAMP", f"ended by {cause} in DAMP")
    assert base.calls == ["stop"] * 3


def test_a_robot_that_offers_other_signals_is_refused_before_it_is_touched() -> None:
    degrees = (replace(JOINT_POSITION, unit="deg"),)
    with pytest.raises(UserError) as caught:
        reach(sensors=degrees)
    assert str(caught.value) == (
        "policy fake can't run on robot arm: sensor joint_position has unit rad, the robot's is deg; "
        "sensor joint_velocity [2] (rad/s, joint) is missing"
    )


def test_safety_is_not_switched_off_by_leaving_a_part_out() -> None:
    joints = arm_manifest().joints
    assert joints is not None
    with pytest.raises(UserError, match=r"policy fake lacks joints.motors, which kind reach needs"):
        reach(manifest=arm_manifest(joints=replace(joints, motors=None)))
