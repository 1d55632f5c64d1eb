"""Each check of the safety envelope by itself, at its very limit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.errors import UserError
from policies.specs import CommandSpec, JointSpec, MotorSpec, SafetyEnvelope, SensorSpec
from real.contract.events import Fault
from real.contract.goal import Target
from real.contract.offer import JOINT_COMMAND, POSITION_TARGET, Signal
from real.contract.robot import RobotReading
from real.contract.state_machine import State
from real.safety.envelope import (
    GROUND_MARGIN,
    Check,
    Geofence,
    JointTargets,
    PositionError,
    Speed,
    Tilt,
    checks_of,
    demanded_by,
    order_of,
)
from tests.real.fake_robot import make_manifest

HERE = Target(np.zeros(3), np.zeros(3))
TARGET = CommandSpec(POSITION_TARGET.name, 3, "m", -100.0, 100.0, 5.0, ("x", "y", "z"))
LEG = ("hip", "knee")
BACK = LEG[::-1]
MOTORS = MotorSpec((30.0, 40.0), (0.5, 1.0), (15.0, 20.0))
JOINTS = JointSpec(LEG, (-1.0, -2.5), (1.0, 0.0), MOTORS)
COMMAND = CommandSpec(JOINT_COMMAND, 2, "rad", (-2.5, -1.0), (0.0, 1.0), 10.0, BACK)
LEG_SENSORS = (
    SensorSpec("joint_position", 2, "rad", "joint", -5.0, 5.0, labels=BACK),
    SensorSpec("joint_velocity", 2, "rad/s", "joint", -50.0, 50.0, labels=LEG),
)


def reading(**sensors: Any) -> RobotReading:
    return RobotReading({name: np.array(value, float) for name, value in sensors.items()}, 0.0, 0.0, 1)


def leg(joints: JointSpec | None = JOINTS, **changes: Any) -> JointTargets:
    """The check of a leg with two joints, which command and sensors name in different orders."""
    manifest = make_manifest(**{"sensors": LEG_SENSORS, "commands": (COMMAND,), "joints": joints, **changes})
    assert manifest.joints is not None
    return JointTargets(manifest, manifest.joints)


def test_a_check_does_nothing_unless_it_says_otherwise() -> None:
    check, value = Check(), np.ones(3)
    assert (check.demanded, check.begin(reading(), 0.0), check.state_faults(reading())) == ((), {}, [])
    assert check.position_faults(reading(), State.POLICY, HERE) == []
    assert check.limit(TARGET, value, reading()) == (value, None)


@pytest.mark.parametrize("length", [0.91, 1.0, 1.09])
@pytest.mark.parametrize(("roll", "pitch"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.6, -0.8)])
def test_tilt_is_the_angle_between_the_vertical_axes_whatever_the_heading(
    roll: float, pitch: float, length: float
) -> None:
    check = Tilt(1.0)
    for angle, allowed in ((0.0, True), (0.999, True), (1.001, False), (2.0, False), (math.pi, False)):
        for heading in (0.0, 2.0):
            half = math.sin(0.5 * angle)
            tilted = np.array([math.cos(0.5 * angle), roll * half, pitch * half, 0.0])
            turn = math.cos(0.5 * heading), math.sin(0.5 * heading)
            w, x, y, _ = tilted
            turned = np.array([turn[0] * w, turn[0] * x - turn[1] * y, turn[0] * y + turn[1] * x, turn[1] * w])
            faults = check.state_faults(reading(orientation=length * turned))
            assert (faults == []) == allowed
            for fault in faults:
                assert (fault.cause, fault.limit) == ("tilt", 1.0)
                assert fault.value == pytest.approx(angle)


def test_upside_down_is_tilted_by_half_a_turn_despite_rounding() -> None:
    # Rounding makes the cosine of the second one less than -1.
    for orientation in ([0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 5.0, 0.0], [0.0, 1.0, 1e-9, 0.0]):
        now = reading(orientation=orientation)
        (fault,) = Tilt(math.nextafter(math.pi, 0.0)).state_faults(now)
        assert fault.value == math.pi
        assert Tilt(math.pi).state_faults(now) == []
    assert Tilt(1.0).state_faults(reading(orientation=[1.0 + 1e-12, 0.0, 0.0, 0.0])) == []


def test_speed_is_the_length_of_the_velocity() -> None:
    assert Speed(5.0).state_faults(reading(linear_velocity=[3.0, 0.0, -4.0])) == []
    (fault,) = Speed(4.99).state_faults(reading(linear_velocity=[3.0, 0.0, -4.0]))
    assert fault == Fault("speed", 5.0, 4.99)


def test_position_error_is_the_largest_of_the_axes_where_there_is_a_target() -> None:
    check, goal = PositionError(0.5), Target(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    assert check.position_faults(reading(position=[1.5, 1.5, 3.5]), State.POLICY, goal) == []
    faults = check.position_faults(reading(position=[1.1, 1.25, 3.2]), State.LAND, goal)
    assert faults == [Fault("position_error", 0.75, 0.5)]
    assert check.position_faults(reading(position=[9.0, 9.0, 9.0]), State.POLICY, _Command()) == []


class _Command:
    """A goal without a place."""

    @property
    def sensors(self) -> dict[str, Any]:
        return {}


def fence(ground: float = 0.0, at: tuple[float, float, float] = (10.0, 20.0, 1.0)) -> Geofence:
    check = Geofence((-1.0, -2.0, -0.5), (1.5, 2.5, 3.0))
    assert check.begin(reading(position=at), ground) == {}
    return check


@pytest.mark.parametrize(
    ("moved", "fault"),
    [
        ((0.0, 0.0, 0.0), None),
        ((1.5, 2.5, 3.0), None),
        ((-1.0, -2.0, -0.5), None),
        ((1.75, 0.0, 0.0), (1.75, 1.5, "x")),
        ((-1.25, 0.0, 0.0), (-1.25, -1.0, "x")),
        ((0.0, 2.75, 0.0), (2.75, 2.5, "y")),
        ((0.0, -2.25, 0.0), (-2.25, -2.0, "y")),
        ((0.0, 0.0, 3.25), (3.25, 3.0, "z")),
        ((0.0, 0.0, -0.75), (-0.75, -0.5, "z")),
        # The axis that is farthest out is named.
        ((1.75, 3.0, 3.25), (3.0, 2.5, "y")),
    ],
)
def test_the_fence_is_a_box_around_the_start(moved: Any, fault: Any) -> None:
    where = np.array([10.0, 20.0, 1.0]) + np.array(moved)
    found = fence().position_faults(reading(position=where), State.POLICY, HERE)
    assert found == ([] if fault is None else [Fault("geofence", *fault)])


def test_before_a_start_there_is_no_fence() -> None:
    check = Geofence((-1.0,) * 3, (1.0,) * 3)
    assert check.position_faults(reading(position=[99.0] * 3), State.POLICY, HERE) == []
    far = np.full(3, 99.0)
    assert check.limit(TARGET, far, reading(position=[0.0] * 3)) == (far, None)


def test_a_landing_may_go_down_to_a_margin_below_the_ground_and_no_lower() -> None:
    check = fence(ground=-3.0)
    low = -3.0 - GROUND_MARGIN
    for state, height, good in (
        (State.POLICY, 0.51, True), (State.POLICY, 0.49, False), (State.LAND, 0.49, True), (State.LAND, -3.0, True),
        (State.LAND, low + 0.01, True), (State.LAND, low - 0.01, False),
    ):  # fmt: skip
        found = check.position_faults(reading(position=[10.0, 20.0, height]), state, HERE)
        assert (found == []) == good, (state, height)
    # A fence that lies below the ground stays where it is, and the landing changes it for itself alone.
    deep = fence(ground=0.9)
    for state in (State.LAND, State.POLICY):
        assert deep.position_faults(reading(position=[10.0, 20.0, 0.51]), state, HERE) == []
        assert deep.position_faults(reading(position=[10.0, 20.0, 0.3]), state, HERE) != [] or state == State.LAND


def test_a_commanded_position_stays_inside_the_fence() -> None:
    check, where = fence(ground=0.9), reading(position=[0.0] * 3)
    inside = np.array([11.5, 22.5, 0.4])
    assert check.limit(TARGET, inside, where) == (inside, None)
    limited, fault = check.limit(TARGET, np.array([8.0, 20.0, 5.0]), where)
    assert limited.tolist() == [9.0, 20.0, 4.0]
    assert fault == Fault("command_clamped", 8.0, 9.0, "position_target x")
    limited, fault = check.limit(TARGET, np.array([10.0, 20.0, -1.0]), where)
    assert limited.tolist() == pytest.approx([10.0, 20.0, 0.9 - GROUND_MARGIN])
    assert fault is not None
    assert fault.detail == "position_target z"
    other = replace(TARGET, name="velocity_target")
    far = np.full(3, 99.0)
    assert check.limit(other, far, where) == (far, None)


def test_joint_targets_begin_where_the_joints_are_within_their_travel() -> None:
    begun = leg().begin(reading(joint_position=[-0.5, 0.25], joint_velocity=[0.0, 0.0]), 0.0)
    assert {name: value.tolist() for name, value in begun.items()} == {JOINT_COMMAND: [-0.5, 0.25]}
    # In the sensor's own order, which here is not the command's.
    turned = replace(LEG_SENSORS[0], labels=LEG)
    begun = leg(sensors=(turned, LEG_SENSORS[1])).begin(reading(joint_position=[2.0, -3.0]), 0.0)
    assert begun[JOINT_COMMAND].tolist() == [-2.5, 1.0]


@pytest.mark.parametrize(
    ("position", "velocity", "value", "limited", "fault"),
    [
        # Knee, hip: 40 and 30 Nm/rad, 1 and 0.5 Nm s/rad, 20 and 15 Nm; the velocities come as hip, knee.
        ([-1.0, 0.2], [0.0, 0.0], [-0.5, 0.7], [-0.5, 0.7], None),
        ([-1.0, 0.2], [0.0, 0.0], [-0.25, 0.7], [-0.5, 0.7], (30.0, 20.0, "knee")),
        ([-1.0, 0.2], [0.0, 0.0], [-1.75, 0.2], [-1.5, 0.2], (-30.0, 20.0, "knee")),
        ([-1.0, 0.2], [0.0, 0.0], [-1.0, 0.95], [-1.0, 0.7], (22.5, 15.0, "hip")),
        # Both ask for too much: the one that exceeds its limit by more Nm is named.
        ([-1.0, 0.2], [0.0, 0.0], [-0.25, 0.95], [-0.5, 0.7], (30.0, 20.0, "knee")),
        # A joint that moves towards its target is braked by its damping, so the target may be farther away.
        ([-1.0, 0.2], [0.0, 8.0], [-0.3, 0.2], [-0.3, 0.2], None),
        ([-1.0, 0.2], [6.0, 0.0], [-1.0, 0.8], [-1.0, 0.8], None),
        ([-1.0, 0.2], [-6.0, 0.0], [-1.0, 0.7], [-1.0, 0.6], (18.0, 15.0, "hip")),
        # The limits of travel hold even where the torque would allow more.
        ([-0.2, 0.2], [0.0, 4.0], [0.3, 0.2], [0.0, 0.2], None),
        ([-3.2, 0.2], [0.0, 0.0], [-2.5, 0.2], [-2.5, 0.2], (28.0, 20.0, "knee")),
    ],
)
def test_targets_ask_for_no_more_torque_than_the_motors_have(
    position: list[float], velocity: list[float], value: list[float], limited: list[float], fault: Any
) -> None:
    now = reading(joint_position=position, joint_velocity=velocity)
    found, named = leg().limit(COMMAND, np.array(value), now)
    assert found.tolist() == pytest.approx(limited)
    if fault is None:
        assert named is None
        return
    assert named is not None
    assert (named.cause, named.limit, named.detail) == ("torque_clamped", fault[1], fault[2])
    assert named.value == pytest.approx(fault[0])


def test_rounding_of_the_torque_is_not_recorded() -> None:
    now = reading(joint_position=[-1.0, 0.2], joint_velocity=[0.0, 0.0])
    for excess, recorded in ((0.5e-6, False), (2e-6, True), (-0.5e-6, False)):
        _, fault = leg().limit(COMMAND, np.array([-1.0 + 0.5 * (1.0 + excess), 0.2]), now)
        assert (fault is not None) == recorded


def test_without_gains_and_for_other_commands_nothing_is_limited() -> None:
    far = np.array([-0.0, 1.0])
    now = reading(joint_position=[-1.0, 0.2], joint_velocity=[0.0, 0.0])
    unknown = leg(replace(JOINTS, motors=None))
    assert unknown.limit(COMMAND, far, now) == (far, None)
    assert unknown.demanded == (Signal("joint_position", 2, "rad", "joint", BACK),)
    assert leg().limit(replace(COMMAND, name="other"), far, now) == (far, None)
    assert leg().demanded == (
        Signal("joint_position", 2, "rad", "joint", BACK),
        Signal("joint_velocity", 2, "rad/s", "joint", LEG),
    )


def test_gains_are_taken_in_the_order_of_the_joints_and_a_sensor_unread_has_that_order_too() -> None:
    turned = JointSpec(BACK, (-2.5, -1.0), (0.0, 1.0), MotorSpec((40.0, 30.0), (1.0, 0.5), (20.0, 15.0)))
    check = leg(turned, sensors=LEG_SENSORS[:1])
    assert check.demanded[1] == Signal("joint_velocity", 2, "rad/s", "joint", BACK)
    now = reading(joint_position=[-1.0, 0.2], joint_velocity=[8.0, 0.0])
    found, fault = check.limit(COMMAND, np.array([-0.3, 0.95]), now)
    assert found.tolist() == pytest.approx([-0.3, 0.7])
    assert fault is not None
    assert fault.detail == "hip"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"commands": (replace(COMMAND, name="thrust"),)},
            "it has joints and does not command joint_position_target",
        ),
        (
            {"commands": (replace(COMMAND, labels=("hip", "ankle")),)},
            "joint_position_target has the labels ('hip', 'ankle'), its joints are ('hip', 'knee')",
        ),
        (
            {"sensors": (replace(LEG_SENSORS[0], labels=("a", "b")), LEG_SENSORS[1])},
            "sensor joint_position has the labels ('a', 'b'), its joints are ('knee', 'hip')",
        ),
        (
            {"sensors": (LEG_SENSORS[0], replace(LEG_SENSORS[1], labels=("a", "b")))},
            "sensor joint_velocity has the labels ('a', 'b'), its joints are ('knee', 'hip')",
        ),
    ],
)
def test_a_bundle_that_contradicts_itself_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        leg(**changes)
    assert str(caught.value) == words


def test_the_order_of_labels_is_where_each_is_in_the_sensor() -> None:
    manifest = make_manifest(sensors=LEG_SENSORS, commands=(COMMAND,), joints=JOINTS)
    assert order_of(manifest, "joint_position", LEG) == [1, 0]
    assert order_of(manifest, "joint_velocity", LEG) == [0, 1]
    assert order_of(manifest, "joint_effort", BACK) == [1, 0]


def test_there_is_a_check_for_each_part_of_the_envelope_and_a_signal_is_demanded_once() -> None:
    whole = make_manifest()
    checks = checks_of(whole)
    assert [type(check) for check in checks] == [Tilt, Speed, PositionError, Geofence]
    names = [signal.name for signal in demanded_by(checks)]
    assert names == ["orientation", "linear_velocity", "position"]
    bare = make_manifest(safety=SafetyEnvelope(None, 0.05, 0.06))
    assert checks_of(bare) == ()
    jointed = make_manifest(safety=bare.safety, sensors=LEG_SENSORS, commands=(COMMAND,), joints=JOINTS)
    assert [type(check) for check in checks_of(jointed)] == [JointTargets]


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        ({"max_tilt": 1.0}, "tilt"),
        ({"max_speed": 2.0}, "speed"),
        ({"max_position_error": 0.5}, "position_error"),
        ({"geofence_low": (-1.0,) * 3, "geofence_high": (1.0,) * 3}, "geofence"),
    ],
)
def test_each_limit_of_the_manifest_reaches_its_check(part: dict[str, Any], cause: str) -> None:
    (check,) = checks_of(make_manifest(safety=replace(SafetyEnvelope(None, 0.05, 0.06), **part)))
    check.begin(reading(position=[0.0] * 3), 0.0)
    bad = reading(orientation=[0.0, 1.0, 0.0, 0.0], linear_velocity=[9.0] * 3, position=[9.0] * 3)
    (fault,) = check.state_faults(bad) or check.position_faults(bad, State.POLICY, HERE)
    assert (fault.cause, fault.limit) == (cause, np.max(next(reversed(part.values()))))
