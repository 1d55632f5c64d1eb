"""Flights of a chip that runs the policy itself: real time against the stand-in chip, and what may leave the host."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from policies.specs import SensorSpec
from real.contract.goal import Target
from real.contract.robot import Array, RobotReading
from real.contract.stop_requests import StopRequests
from real.control.guided import GuidedBundle, GuidedFlight, PassOn, guided_manifest
from real.control.session import SessionSettings, run_session
from real.missions.poses import ACCELERATION, POSE_TIMEOUT, SPEED, PoseFollower
from real.missions.setpoint import Hold, Lissajous, Setpoint, Step, TakeOff, jump_time
from real.recording.report import FlightReport
from real.robots.serial import SerialRobot, SerialSettings
from real.robots.serial_frames import Ask, ChipState
from real.safety.envelope import Geofence
from tests.real.fake_robot import make_manifest
from tests.real.serial_chip_stand_in import ChipStandIn

pytestmark = pytest.mark.realtime


@pytest.fixture
def chip() -> Iterator[ChipStandIn]:
    chip = ChipStandIn(model_word=0)
    yield chip
    chip.close()


def fly(
    chip: ChipStandIn,
    follower: PoseFollower | None = None,
    requests: StopRequests | None = None,
    *,
    duration: float = 1.5,
    setpoint: Setpoint | None = None,
    manifest: Manifest | None = None,
) -> FlightReport:
    robot = SerialRobot(SerialSettings(port=chip.url), make_manifest())
    manifest = guided_manifest(manifest or make_manifest())
    mission = GuidedFlight(manifest, setpoint or Hold(), duration, follower=follower)
    return run_session(GuidedBundle(manifest), robot, mission, SessionSettings(), requests=requests)


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """A thread that calls `act` once `condition` holds, or never."""

    def wait() -> None:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline:
            if condition():
                act()
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_chip_takes_off_steps_and_lands(chip: ChipStandIn) -> None:
    report = fly(chip, setpoint=TakeOff(0.2, Step(0.4, (0.2, 0.0, 0.0))), duration=2.0)
    assert (report.success, report.outcome) == (True, "flew and landed"), report.events
    assert [s.target for s in report.states] == ["READY", "POLICY", "LAND", "IDLE"]
    assert report.after_step is not None
    assert report.after_step.last_second is not None
    assert set(report.commands) == {"position_target", "velocity_target"}
    heights = [s.position[2] for s in chip.setpoints]
    assert max(heights) == pytest.approx(0.2, abs=0.02)
    assert chip.setpoints[-1].position[0] == pytest.approx(0.2, abs=0.02)
    assert chip.requests.count(Ask.STOP) == 3
    assert chip.state == ChipState.LANDED


def test_the_chips_own_failsafe_ends_the_flight_and_its_cause_is_reported(chip: ChipStandIn) -> None:
    def go_wrong() -> None:
        chip.state, chip.faults = ChipState.FAILSAFE, 4

    helper = when(lambda: chip.position[2] > 0.1, go_wrong)
    report = fly(chip, setpoint=TakeOff(0.3, Hold()), duration=5.0)
    helper.join()
    assert report.outcome == "ended by robot_failsafe in DAMP"
    assert any("it reports failsafe, for tilt" in event.describe() for event in report.events)


def test_another_policys_chip_is_not_flown(chip: ChipStandIn) -> None:
    chip.info = replace(chip.info, model_word=1)
    report = fly(chip)
    assert not report.success
    assert "the chip flies policy 00000001, the bundle is 00000000" in report.outcome
    assert chip.setpoints == []


def test_the_derived_manifest_keeps_the_bundles_envelope() -> None:
    own = make_manifest()
    guided = guided_manifest(own)
    assert [c.name for c in guided.commands] == ["position_target", "velocity_target"]
    assert (guided.safety, guided.identity, guided.timing) == (own.safety, own.identity, own.timing)
    assert all(s.relative_to == "" for s in guided.sensors)
    assert {"rotor_speed", "position", "target_position"} <= {s.name for s in guided.sensors}
    target = {"target_position": np.ones(3), "target_velocity": np.zeros(3)}
    assert set(PassOn().step(target)) == {"position_target", "velocity_target"}


def test_a_policy_of_another_number_of_motors_is_refused() -> None:
    own = make_manifest()
    command = replace(own.commands[0], dim=1, low=(0.0,), high=(1.0,), labels=("a",), safe=(0.0,))
    with pytest.raises(UserError, match="exactly four motor commands"):
        guided_manifest(replace(own, commands=(command,)))


def test_a_policy_that_reads_what_the_chip_does_not_send_is_refused_before_the_chip_is_touched(
    chip: ChipStandIn,
) -> None:
    own = make_manifest()
    ranging = replace(own, sensors=(*own.sensors, SensorSpec("range", 1, "m", "body", 0.0, 4.0)))
    with pytest.raises(UserError, match=r"can't run on robot chip: sensor range \[1\] \(m, body\) is missing"):
        fly(chip, manifest=ranging)
    assert chip.received == []


def test_a_figure_beyond_the_fence_is_refused_before_the_chip_is_touched(chip: ChipStandIn) -> None:
    with pytest.raises(UserError, match="geofence"):
        fly(chip, setpoint=Lissajous(8.0, 2.5), duration=10.0)
    assert chip.received == []


def test_a_target_beyond_the_fence_is_moved_inside() -> None:
    guided = guided_manifest(make_manifest())
    safety = guided.safety
    assert safety.geofence_low is not None
    assert safety.geofence_high is not None
    fence = Geofence(safety.geofence_low, safety.geofence_high)
    origin = np.array([5.0, 0.0, 1.0])
    sensors: dict[str, Array] = {"position": origin, "orientation": np.array([1.0, 0, 0, 0])}
    reading = RobotReading(sensors, 0.0, 0.0, 1)
    fence.begin(reading, 0.0)
    entry = guided.commands[0]
    inside, fault = fence.limit(entry, np.array([9.0, 0.0, 1.0]), reading)
    assert inside.tolist() == [7.0, 0.0, 1.0]
    assert fault is not None
    assert fault.cause == "command_clamped"
    # The way down to the ground and a little below it stays open.
    below, fault = fence.limit(entry, np.array([5.0, 0.0, -0.2]), reading)
    assert (below.tolist(), fault) == ([5.0, 0.0, -0.2], None)


class Poses:
    """A topic's newest pose."""

    def __init__(self) -> None:
        self.found: tuple[Array, float] | None = None

    def __call__(self) -> tuple[Array, float] | None:
        return self.found


def follow(poses: Poses, follower: PoseFollower, start: float, seconds: float) -> list[Target]:
    hold = Target(np.array([0.0, 0.0, 1.0]), np.zeros(3))
    return [follower.target(start + 0.01 * k, hold) for k in range(round(seconds / 0.01))]


def test_a_pose_is_followed_smoothly_within_speed_and_fence() -> None:
    poses = Poses()
    follower = PoseFollower(make_manifest(), poses)
    follower.begin(10.0, np.array([0.0, 0.0, 1.0]), 0.0)
    assert follow(poses, follower, 10.0, 0.1)[-1].position.tolist() == [0.0, 0.0, 1.0]
    poses.found = (np.array([50.0, 0.0, -3.0]), 1e9)
    path = follow(poses, follower, 10.1, 6.0)
    positions = np.array([target.position for target in path])
    velocities = np.array([target.velocity for target in path])
    assert positions[-1] == pytest.approx([1.7, 0.0, 0.5], abs=0.02)
    assert np.linalg.norm(velocities, axis=1).max() <= SPEED + 1e-9
    assert np.linalg.norm(np.diff(velocities, axis=0), axis=1).max() <= ACCELERATION * 0.01 + 1e-9
    assert np.diff(positions, axis=0) == pytest.approx(0.01 * velocities[1:], abs=1e-9)
    assert positions[:, 0].max() <= 1.7 + 1e-9


def test_a_pose_that_grows_old_stops_the_target_and_is_reported_once() -> None:
    poses = Poses()
    follower = PoseFollower(make_manifest(), poses)
    follower.begin(0.0, np.array([0.0, 0.0, 1.0]), 0.0)
    poses.found = (np.array([1.5, 0.0, 1.0]), 0.0)
    path = follow(poses, follower, 0.0, POSE_TIMEOUT + 1.0)
    assert path[-1].velocity == pytest.approx(np.zeros(3))
    stopped = path[-1].position
    assert 0.1 < stopped[0] < 1.0
    assert [fault.cause for fault in follower.faults(1.5)] == ["setpoint_lost"]
    assert follower.faults(1.6) == []
    assert follower.target(2.0, Target(np.zeros(3), np.zeros(3))).position == pytest.approx(stopped)
    poses.found = (np.array([math.pi, 0.0, 1.0]), 2.0)
    assert [fault.cause for fault in follower.faults(2.0)] == ["setpoint_clamped"]


def test_a_landing_begins_where_the_pose_was(chip: ChipStandIn) -> None:
    requests = StopRequests()
    helper = when(lambda: chip.position[0] > 0.89, requests.ask)
    follower = PoseFollower(make_manifest(), lambda: (np.array([0.9, 0.0, 0.3]), time.monotonic()), 0.7)
    report = fly(chip, follower, requests=requests, duration=20.0, setpoint=TakeOff(0.2, Hold()))
    helper.join()
    assert report.success, report.events
    path = np.array([setpoint.position for setpoint in chip.setpoints])
    assert path[-1, 0] == pytest.approx(0.9, abs=0.02), "it lands where it was sent"
    assert np.abs(np.diff(path, axis=0)).max() < 0.05, "the target never jumps"


def test_a_pose_during_the_take_off_waits() -> None:
    poses = Poses()
    follower = PoseFollower(make_manifest(), poses, begins_after=1.0)
    follower.begin(0.0, np.zeros(3), 0.0)
    poses.found = (np.array([1.0, 0.0, 1.0]), 0.0)
    rise = Target(np.array([0.0, 0.0, 0.1]), np.array([0.0, 0.0, 0.3]))
    assert follower.target(0.3, rise) is rise


def test_a_take_off_rises_and_then_follows() -> None:
    setpoint = TakeOff(0.6, Step(1.0, (0.2, 0.0, 0.0)))
    assert setpoint.at(1.0).position.tolist() == pytest.approx([0.0, 0.0, 0.3])
    assert setpoint.at(1.0).velocity.tolist() == [0.0, 0.0, 0.3]
    assert setpoint.at(3.0).position.tolist() == pytest.approx([0.2, 0.0, 0.6])
    assert (jump_time(setpoint), jump_time(Hold()), jump_time(TakeOff(1.0, Hold()))) == (3.0, None, None)
    with pytest.raises(ValueError, match="height of a take-off"):
        TakeOff(0.0, Hold())


def test_a_stop_request_lands_the_chip(chip: ChipStandIn) -> None:
    requests = StopRequests()
    helper = when(lambda: chip.state == ChipState.FLYING, requests.ask)
    report = fly(chip, requests=requests, duration=20.0, setpoint=TakeOff(0.2, Hold()))
    helper.join()
    assert report.success, report.outcome
    assert chip.state == ChipState.LANDED
