"""Walks on a fake robot: the states, the way to the stance, velocity commands, and what refuses a robot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.bundle.manifest import Manifest, Timing
from policies.errors import UserError
from policies.specs import CommandSpec, JointSpec, MotorSpec, SafetyEnvelope, SensorSpec
from real.contract.offer import JOINT_COMMAND
from real.contract.robot import Array, LinkDown, LinkStatus, RobotReading
from real.control.session import SessionSettings, run_session
from real.missions.velocity import CmdVel, Constant, Square, VelocityLimiter, VelocitySource
from real.missions.walk import Walk, WalkTimes
from real.recording.report import FlightReport
from real.robots.legged_wire import LeggedWire
from real.safety.envelope import JointTargets
from tests.real.fake_robot import US, FakeClock, make_manifest

NAMES = ("hip", "knee")
STANCE = {"hip": 0.2, "knee": -1.0}
LYING = {"hip": 0.0, "knee": -2.0}
RATE = 10.0
GAINS = {"hip": (30.0, 0.5), "knee": (40.0, 1.0)}


def leg_manifest(**changes: Any) -> Manifest:
    """Two joints, in another order for the command and for each sensor."""

    back = NAMES[::-1]
    motors = MotorSpec((30.0, 40.0), (0.5, 1.0), (15.0, 20.0))
    joints = JointSpec(NAMES, (-1.0, -2.5), (1.0, 0.0), motors, (0.2, -1.0), (0.0, -2.0))
    values: dict[str, Any] = {
        "kind": "velocity",
        "timing": Timing(0.02),
        "sensors": (
            SensorSpec("velocity_command", 3, "m/s, m/s, rad/s", "body", -0.5, 0.5, rate_limit=(1.5,) * 3),
            SensorSpec("orientation", 4, "1", "body to world, w x y z", -1.01, 1.01),
            SensorSpec("joint_position", 2, "rad", "joint", -5.0, 5.0, labels=back),
            SensorSpec("joint_velocity", 2, "rad/s", "joint", -50.0, 50.0, labels=NAMES),
        ),
        "commands": (CommandSpec(JOINT_COMMAND, 2, "rad", (-2.5, -1.0), (0.0, 1.0), RATE, back, (-1.0, 0.2), "joint"),),
        "safety": SafetyEnvelope(math.radians(60.0), 0.1, 0.1),
        "joints": joints,
    }  # fmt: skip
    return make_manifest(**{**values, **changes})


class LegPolicy:
    """Stands, and notes what it read."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, Array]] = []
        self.resets = 0
        self.output = np.array([-1.0, 0.2])

    def warm(self, steps: int = 100) -> None: ...
    def with_substeps(self, substeps: int) -> LegPolicy:
        return self

    def reset(self) -> None:
        self.resets += 1

    def step(self, sensors: Mapping[str, Array]) -> dict[str, Any]:
        self.seen.append(sensors)
        return {JOINT_COMMAND: self.output.copy()}


class LegBundle:
    def __init__(self, manifest: Manifest | None = None) -> None:
        self.manifest = manifest or leg_manifest()
        self.policy = LegPolicy()


class LegRobot:
    """Joints that reach their targets at once, unless `stuck`; readings every 10 ms."""

    name, writer = "leg", US
    offer = LeggedWire.offer
    user_goal: tuple[Array, float] | None = None

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.joints = dict(LYING)
        self.stuck = False
        self.gains: dict[str, tuple[float, float]] = dict(GAINS)
        self.orientation = np.array([1.0, 0.0, 0.0, 0.0])
        self.targets: list[tuple[float, Array]] = []
        self.calls: list[str] = []

    def connect(self, timeout: float) -> None: ...
    def arm(self) -> None:
        self.calls.append("arm")

    def read(self) -> RobotReading | None:
        sequence = int(self.clock.time / 0.01)
        stamp = 0.01 * sequence
        sensors = {
            "orientation": self.orientation,
            "joint_position": np.array([self.joints["knee"], self.joints["hip"]]),
            "joint_velocity": np.zeros(2),
        }
        return RobotReading(sensors, stamp, stamp + 0.001, sequence)

    def link(self) -> LinkStatus:
        owner = US if self.targets else ""
        return LinkStatus(True, 0.01, owner, "active" if self.targets else "ready", 0, 0, gains=self.gains)

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        if not math.isfinite(self.clock.time):
            raise LinkDown("never")
        self.targets.append((self.clock.time, np.array(command[JOINT_COMMAND])))
        if not self.stuck:
            self.joints = dict(zip(NAMES[::-1], command[JOINT_COMMAND], strict=True))

    def stop(self) -> None:
        self.calls.append("stop")

    def emergency_stop(self) -> None: ...
    def close(self) -> None: ...


def walk(
    bundle: LegBundle, robot: LegRobot, source: VelocitySource | None = None, *, duration: float = 1.0, **settings: Any
) -> FlightReport:
    mission = Walk(bundle.manifest, source or Constant(), duration, settings.pop("times", None))
    return run_session(bundle, robot, mission, SessionSettings(**settings), robot.clock)


def walk_fake(source: Any = None, prepare: Any = None, **settings: Any) -> tuple[FlightReport, LegRobot, LegPolicy]:
    clock = FakeClock()
    robot, bundle = LegRobot(clock), LegBundle()
    if prepare is not None:
        prepare(robot, bundle)
    return walk(bundle, robot, source, **settings), robot, bundle.policy


def test_a_walk_goes_through_its_states_from_lying_to_lying_without_a_jump() -> None:
    report, robot, policy = walk_fake(Constant((0.3, 0.0, 0.0)))
    assert (report.success, report.outcome) == (True, "walked and lay down")
    assert [s.target for s in report.states] == ["READY", "STAND", "POLICY", "HALT", "STAND", "LIE", "IDLE"]
    targets = np.array([target for _, target in robot.targets])
    assert targets[0] == pytest.approx([-2.0, 0.0], abs=0.01)
    assert targets[-1] == pytest.approx([-2.0, 0.0], abs=1e-6)
    # Much slower than the rate limit lets it.
    assert np.abs(np.diff(targets, axis=0)).max() < 0.05
    assert robot.calls[-1] == "stop"
    assert policy.resets == 2  # Before the walk, and once more when it takes over the standing robot.


def test_a_joint_that_sags_beyond_its_limits_begins_at_them_and_nothing_is_clamped() -> None:
    def sag(robot: LegRobot, bundle: LegBundle) -> None:
        robot.joints["knee"] = -2.6

    report, robot, _ = walk_fake(prepare=sag)
    assert report.success
    assert [event.cause for event in report.events if "clamped" in event.cause] == []
    assert robot.targets[0][1][0] == pytest.approx(-2.5, abs=0.01)


def test_the_policy_reads_joints_in_its_own_order_and_a_velocity_that_ramps_and_stops() -> None:
    _, _, policy = walk_fake(Constant((9.0, 0.0, 0.0)))
    assert policy.seen[0]["joint_position"] == pytest.approx([-1.0, 0.2], abs=1e-6)
    speeds = np.array([seen["velocity_command"][0] for seen in policy.seen])
    assert speeds.max() == 0.5  # The bundle's limit.
    assert np.abs(np.diff(speeds)).max() <= 1.5 * 0.021
    assert (speeds[-20:] == 0.0).all()


def test_a_robot_that_can_not_stand_is_let_go() -> None:
    def stuck(robot: LegRobot, bundle: LegBundle) -> None:
        robot.stuck = True

    report, robot, policy = walk_fake(prepare=stuck)
    assert report.final_state == "DAMP"
    assert "stand_failed" in {event.cause for event in report.events if event.trigger}
    assert policy.seen == []
    # A joint that does not follow is not asked for more torque than its motor has.
    assert max(abs(target[0] - LYING["knee"]) * 40.0 for _, target in robot.targets) <= 20.0 + 1e-6


@pytest.mark.parametrize(
    ("gains", "message"),
    [
        ({**GAINS, "knee": (20.0, 1.0)}, "gains_differ: 20 (limit 40), stiffness of knee"),
        ({**GAINS, "hip": (30.0, 5.0)}, "gains_differ: 5 (limit 0.5), damping of hip"),
        ({"hip": (30.0, 0.5)}, "the robot reports no gains of joint knee; it reports those of hip"),
        ({}, "it reports those of none"),
    ],
)
def test_gains_of_another_kind_are_refused_before_anything_moves(gains: dict[str, Any], message: str) -> None:
    def prepare(robot: LegRobot, bundle: LegBundle) -> None:
        robot.gains = gains

    report, robot, _ = walk_fake(prepare=prepare)
    assert message in report.outcome
    assert (report.exit_code, report.states, robot.targets, robot.calls) == (1, (), [], [])


def test_a_tilted_robot_is_let_go() -> None:
    def prepare(robot: LegRobot, bundle: LegBundle) -> None:
        def fall(sensors: Mapping[str, Array]) -> dict[str, Any]:
            robot.orientation = np.array([math.cos(0.6), math.sin(0.6), 0.0, 0.0])
            return {JOINT_COMMAND: np.array([-1.0, 0.2])}

        bundle.policy.__dict__["step"] = fall

    report, _, _ = walk_fake(prepare=prepare)
    assert (report.final_state, report.outcome) == ("DAMP", "ended by tilt in DAMP")


def test_bundles_that_do_not_walk_are_refused_in_one_line() -> None:
    manifest = leg_manifest()
    scan = SensorSpec("height_scan", 9, "m", "body", (-1.0,) * 9, (1.0,) * 9, "", ())
    for changes, message in (
        ({"sensors": (*manifest.sensors, scan)}, "can't run on robot leg: sensor height_scan .9. .m, body. is missing"),
        ({"sensors": manifest.sensors[1:]}, "it reads no velocity_command"),
    ):
        with pytest.raises(UserError, match=message):
            walk(LegBundle(leg_manifest(**changes)), LegRobot(FakeClock()))


values = st.floats(-4.0, 4.0)


@given(st.tuples(values, values), st.tuples(values, values), st.tuples(st.floats(-40, 40), st.floats(-40, 40)))
def test_no_target_asks_for_more_torque_than_there_is(
    target: tuple[float, float], q: tuple[float, float], qd: tuple[float, float]
) -> None:
    manifest = leg_manifest()
    assert manifest.joints is not None
    entry = manifest.commands[0]
    sensors = {"joint_position": np.array(q), "joint_velocity": np.array(qd)[::-1].copy()}
    wanted = np.clip(np.array(target), entry.low, entry.high)
    limited, fault = JointTargets(manifest, manifest.joints).limit(entry, wanted, RobotReading(sensors, 0.0, 0.0, 0))
    assert ((limited >= entry.low) & (limited <= entry.high)).all()
    stiffness, damping, torque = np.array([40.0, 30.0]), np.array([1.0, 0.5]), np.array([20.0, 15.0])

    def asked(value: Array) -> Array:
        result: Array = np.abs(stiffness * (value - np.array(q)) - damping * np.array(qd))
        return result

    # Limits of travel come last: where they leave no such target, it is the nearest one that they allow.
    free = (limited > np.array(entry.low) + 1e-9) & (limited < np.array(entry.high) - 1e-9)
    assert (asked(limited)[free] <= torque[free] + 1e-6).all()
    assert (asked(limited) <= asked(wanted) + 1e-6).all()
    assert (fault is None) == bool((asked(wanted) <= torque * (1.0 + 1e-6)).all())


def test_cmd_vel_counts_as_zero_after_its_time_out() -> None:
    newest: list[tuple[Array, float]] = []
    source = CmdVel(lambda: newest[-1] if newest else None)
    assert (source.at(0.0, 10.0, 0.0) == 0.0).all()
    assert source.lost(10.0) is None  # Nobody has spoken yet.
    newest.append((np.array([0.3, 0.0, 0.1]), 10.0))
    assert source.at(0.0, 10.5, 0.0) == pytest.approx([0.3, 0.0, 0.1])
    assert (source.at(0.0, 10.51, 0.0) == 0.0).all()
    assert source.lost(10.51) == pytest.approx(0.51)


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(-9.0, 9.0), st.floats(-9.0, 9.0)), max_size=30))
def test_velocity_commands_never_jump(wanted: list[tuple[float, float, float]]) -> None:
    limiter = VelocityLimiter(np.array([-0.5, -0.2, -1.0]), np.array([1.0, 0.2, 1.0]), np.array([1.5, 1.5, 4.0]))
    now, last = 0.0, np.zeros(3)
    for elapsed, forward, yaw in wanted:
        now += elapsed
        command = limiter(now, np.array([forward, 0.0, yaw]))
        assert (np.abs(command - last) <= np.array([0.15, 0.15, 0.4]) + 1e-12).all()
        assert -0.5 <= command[0] <= 1.0
        last = command


def test_a_square_walked_as_commanded_closes() -> None:
    square, now, step = Square(1.0, 0.5, 0.8), 0.0, 0.01
    x = y = heading = 0.0
    while now < square.duration + 1.0:
        forward, _, yaw = square.at(now, now, heading)
        x, y = x + step * forward * math.cos(heading), y + step * forward * math.sin(heading)
        heading += step * yaw
        now += step
    assert (x, y) == pytest.approx((0.0, 0.0), abs=0.05)
    assert heading == pytest.approx(2.0 * math.pi, abs=0.05)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Constant((math.nan, 0.0, 0.0)), "command must be 3 finite numbers"),
        (lambda: Square(0.0), "side of a square must be above 0 m"),
        (lambda: WalkTimes(stand=0.1), "the time to stand must lie within 0.5 and 30 s, got 0.1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
