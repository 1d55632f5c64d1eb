"""Sessions from connecting to the report: landing on request, refusals, and what the report says."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.bundle.reader import Bundle as LoadedBundle
from policies.errors import UserError
from policies.specs import SensorSpec
from real.contract.stop_requests import StopRequests
from real.control.session import Bundle
from real.missions.setpoint import Lissajous, Step
from real.recording.messages import read_recording
from real.timing.schedule import MonotonicClock
from tests.real.fake_robot import FakeBundle, FakeClock, FakePolicy, FakeRobot, fly, fly_fake, make_manifest


def as_bundle(loaded: LoadedBundle) -> Bundle:
    """The type checker proves here that a loaded bundle is what a session flies."""
    return loaded


def test_a_flight_holds_follows_the_step_and_lands() -> None:
    report, robot = fly_fake(duration=6.0, setpoint=Step(2.0, (0.3, 0.0, 0.0)))
    assert (report.success, report.exit_code, report.outcome) == (True, 0, "flew and landed")
    assert [s.target for s in report.states] == ["READY", "POLICY", "LAND", "IDLE"]
    assert report.after_step is not None
    assert report.after_step.last_second is not None
    assert report.after_step.last_second < 0.02
    assert report.after_step.max == pytest.approx(0.3, abs=0.01)
    assert robot.position == pytest.approx([0.3, 0.0, 0.0], abs=0.06)
    assert (robot.commands[-1][1] == 0.0).all()
    assert robot.calls == ["connect", "arm", "stop", "stop", "stop", "close"]
    assert report.commands_sent == len(robot.commands)
    assert [event.cause for event in report.events] == ["duration_over"]


def test_an_event_says_what_was_found_where_and_what_came_of_it() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        robot.at(0.5, lambda: robot.__dict__.update(spoil_link=lambda values: {**values, "heartbeat_age": 0.75}))

    report, _ = fly_fake(prepare)
    assert report.outcome == "ended by heartbeat_lost in DAMP"
    assert [e.describe() for e in report.events] == [
        "heartbeat_lost: 0.75 (limit 0.5) in POLICY, 1 time, fired DAMP",
    ]


def test_it_follows_a_figure() -> None:
    report, _ = fly_fake(duration=8.0, setpoint=Lissajous(8.0, 0.5))
    assert report.success
    assert report.position_error.max is not None
    assert report.position_error.max < 0.5


def test_the_model_is_warm_before_the_robot_is_touched() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        connect = robot.connect

        def check(timeout: float) -> None:
            assert bundle.policy.warmed
            connect(timeout)

        robot.__dict__["connect"] = check

    report, _ = fly_fake(prepare)
    assert report.success


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lands_the_vehicle_and_is_a_success(number: signal.Signals) -> None:
    former = signal.getsignal(number)
    report, robot = fly_fake(lambda robot, bundle: robot.at(1.0, lambda: os.kill(os.getpid(), number)), duration=60.0)
    assert (report.exit_code, report.final_state) == (0, "IDLE")
    assert report.states[-2].cause == "stop_requested"
    assert report.duration < 1.0 + 10.0
    assert robot.position[2] < 0.06
    assert signal.getsignal(number) is former


def test_a_second_signal_cuts_the_actuators_at_once() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        for at in (1.0, 1.5):
            robot.at(at, lambda: os.kill(os.getpid(), signal.SIGTERM))

    report, robot = fly_fake(prepare, duration=60.0)
    assert (report.exit_code, report.final_state) == (1, "ESTOP")
    assert report.duration < 1.5 + 0.05
    assert robot.calls[-4:] == ["emergency_stop"] * 3 + ["close"]


def test_one_request_that_two_processes_pass_on_is_no_emergency() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        for at in (1.0, 1.1):
            robot.at(at, lambda: os.kill(os.getpid(), signal.SIGTERM))

    report, _ = fly_fake(prepare, duration=60.0)
    assert (report.exit_code, report.final_state) == (0, "IDLE")


def test_a_signal_before_the_flight_keeps_it_from_beginning() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        robot.__dict__["arm"] = lambda: os.kill(os.getpid(), signal.SIGINT)

    report, robot = fly_fake(prepare)
    assert (report.exit_code, report.outcome) == (1, "no flight: stopped before the start")
    assert robot.commands == []


def test_a_robot_that_can_not_be_reached_is_reported() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        robot.connect_error = ConnectionRefusedError("no server at 127.0.0.1:9090; start robo-rl bridge")

    report, robot = fly_fake(prepare)
    assert report.exit_code == 1
    assert report.outcome == "no flight: no server at 127.0.0.1:9090; start robo-rl bridge"
    assert report.events[0].cause == "connect_failed"
    assert robot.calls == ["close"]


def no_odometry(robot: FakeRobot) -> None:
    robot.odometry = False


def latched(robot: FakeRobot) -> None:
    robot.failsafe = robot.holds_latch = True


def obeys_another(robot: FakeRobot) -> None:
    robot.spoil_link = lambda values: {**values, "owner": "them"}


@pytest.mark.parametrize(
    ("prepare", "words"), [(no_odometry, "state_age"), (latched, "robot_failsafe"), (obeys_another, "it obeys them")]
)
def test_a_robot_that_is_not_ready_is_not_flown(prepare: Callable[[FakeRobot], None], words: str) -> None:
    report, robot = fly_fake(lambda robot, bundle: prepare(robot), arm_timeout=1.0)
    assert (report.exit_code, report.final_state) == (1, "IDLE")
    assert words in report.outcome
    assert robot.commands == []


def test_a_latched_robot_is_armed_again_and_flown() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        robot.failsafe = True

    report, _ = fly_fake(prepare)
    assert report.success


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"duration": 0.0}, "duration must be above 0 s"),
        ({"duration": float("nan")}, "duration must be above 0 s"),
        ({"setpoint": Step(1.0, (0.7, 0.0, 0.0))}, "jumps by 0.7 m; choose less than .* 0.5 m"),
        ({"setpoint": Lissajous(15.0, 3.0), "duration": 16.0}, "keep it inside the policy's geofence"),
        ({"setpoint": Lissajous(2.0, 1.0), "duration": 6.0}, "choose less than the policy's largest speed"),
        ({"rate": 150.0}, "150 Hz is not a whole multiple of the policy's own 100 Hz; choose 100 or 200 Hz"),
        ({"rate": 50.0}, "50 Hz is not a whole multiple of the policy's own 100 Hz; choose 100 or 200 Hz"),
        ({"rate": 0.0}, "0 Hz is not a whole multiple"),
        ({"rate": 1100.0}, "1100 Hz is above the highest that this loop keeps, 1000 Hz"),
        ({"ground": float("inf")}, "ground must be a height"),
        ({"record": Path("/proc/nowhere/flight.mcap")}, "can't record to"),
    ],
)
def test_settings_that_do_not_suit_are_refused_before_the_robot_is_touched(
    settings: dict[str, Any], words: str
) -> None:
    touched: list[FakeRobot] = []
    with pytest.raises(UserError, match=words):
        fly_fake(lambda robot, bundle: touched.append(robot), **settings)
    assert all(robot.calls == [] for robot in touched)


@pytest.mark.parametrize(
    "entry",
    [
        SensorSpec("angular_velocity", 3, "rad/s", "body", (-9.0,) * 3, (9.0,) * 3, "target", ()),
        SensorSpec("position", 2, "m", "world", (-9.0,) * 2, (9.0,) * 2, "", ()),
    ],
)
def test_a_policy_that_can_not_be_fed_is_refused_before_the_robot_is_touched(entry: SensorSpec) -> None:
    touched: list[FakeRobot] = []
    with pytest.raises(UserError, match=f"sensor {entry.name} "):
        fly_fake(lambda robot, bundle: touched.append(robot), FakeBundle(make_manifest(sensors=(entry,))))
    assert touched[0].calls == []


class HastyClock(FakeClock, MonotonicClock):
    """Fake time that a session takes for the machine's own."""


@pytest.mark.parametrize(("clock", "collects"), [(FakeClock(), True), (HastyClock(), False)])
def test_a_session_leaves_the_interpreter_as_it_found_it(clock: FakeClock, collects: bool) -> None:
    interval = sys.getswitchinterval()
    seen: list[bool] = []
    fly_fake(lambda robot, bundle: robot.at(1.0, lambda: seen.append(gc.isenabled())), clock=clock)
    assert seen == [collects]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert sys.getswitchinterval() == pytest.approx(interval)


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    report, _ = fly_fake(record=tmp_path / "flight.mcap", duration=1.0)
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["success"] is True
    assert data["schedule"]["period_ms"] == 10.0
    assert data["schedule"]["overruns"] == 0
    assert data["age"]["p99_ms"] > 0.0
    assert data["recording"]["failure"] == ""
    assert data["states"][0]["target"] == "READY"


def test_the_recording_tells_the_whole_flight(tmp_path: Path) -> None:
    path = tmp_path / "new" / "flight.mcap"
    report, robot = fly_fake(record=path, duration=1.0)
    topics = read_recording(path)
    assert [content["state"] for _, content in topics["/state"]] == ["IDLE", "READY", "POLICY", "LAND", "IDLE"]
    assert len(topics["/command"]) == len(robot.commands)
    assert topics["/command"][10][1]["sent"]["rotor_speed"] == robot.commands[10][1].tolist()
    assert len(topics["/timing"]) == report.schedule.ticks
    assert any("duration_over" in content["message"] for _, content in topics["/events"])
    times = [t for t, _ in topics["/pose"]]
    assert times == sorted(times)


@pytest.mark.parametrize(("rate", "substeps"), [(None, 1), (100.0, 1), (200.0, 2), (500.0, 5)])
def test_a_faster_loop_calls_the_policy_several_times_a_period(rate: float | None, substeps: int) -> None:
    bundle = FakeBundle()
    report, robot = fly_fake(bundle=bundle, rate=rate, duration=1.0)
    assert report.success, report.outcome
    assert bundle.policy.substeps == substeps
    assert report.schedule.period_ms == pytest.approx(10.0 / substeps)
    times = np.array([t for t, _ in robot.commands])
    assert np.median(np.diff(times)) == pytest.approx(0.01 / substeps, rel=0.05)
    # A change that one slow tick allows takes several fast ones: limits are in units a second.
    assert {event.cause for event in report.events} <= {"duration_over", "command_rate_clamped"}


def test_a_request_can_come_from_the_program_itself() -> None:
    clock, requests = FakeClock(), StopRequests()
    robot = FakeRobot(clock)
    robot.at(0.5, requests.ask)
    report = fly(FakeBundle(policy=FakePolicy()), robot, clock, requests, duration=60.0)
    assert report.success
    assert report.duration < 10.0
