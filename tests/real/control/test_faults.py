"""Whole flights of the fake robot through every fault: the documented state, in time, and what the robot gets.

The bounds are on the fake clock, so they test the logic and never the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from real.contract.reactions import REACTIONS, REQUESTS
from real.contract.robot import FAILSAFE
from real.contract.stop_requests import StopRequests
from tests.real.fake_robot import (
    DELAY,
    HIGH,
    STATUS_PERIOD,
    FakeBundle,
    FakeClock,
    FakeRobot,
    fly,
    fly_fake,
    make_manifest,
)

TICK = 0.02
"""Two ticks: a fault may come just after one."""
BLIND = make_manifest().safety.max_input_age + 0.15 + TICK
FAULT_AT = 1.0
Prepare = Callable[[FakeRobot, FakeBundle], None]


def set_later(**attributes: Any) -> Prepare:
    """Set attributes of the robot in flight."""

    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        robot.at(FAULT_AT, lambda: robot.__dict__.update(attributes))

    return prepare


def sensor(name: str, value: Any) -> Prepare:
    return set_later(spoil=lambda sensors: {**sensors, name: value})


def link(**changes: Any) -> Prepare:
    return set_later(spoil_link=lambda values: {**values, **changes})


def output(change: Callable[[Any], Any]) -> Prepare:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        def spoil() -> None:
            bundle.policy.spoil = lambda sensors, command: {"rotor_speed": change(command["rotor_speed"])}

        robot.at(FAULT_AT, spoil)

    return prepare


def explode(*_: Any) -> Any:
    raise ZeroDivisionError("spoilt")


def other_clock(robot: FakeRobot, bundle: FakeBundle) -> None:
    """The robot's process dies and another one takes over, which counts from zero again."""
    robot.at(FAULT_AT, lambda: robot.__dict__.update(_sequence=0))


@dataclass(frozen=True)
class Case:
    cause: str
    prepare: Prepare
    final: str
    bound: float
    """Longest time in s from the fault to the last command."""


TILTED = np.array([np.cos(0.7), np.sin(0.7), 0.0, 0.0])

CASES = [
    Case("state_age", set_later(odometry=False), "DAMP", BLIND),
    Case("state_age", set_later(delay=lambda sequence: 0.3), "DAMP", BLIND + 0.3),
    Case("state_age", other_clock, "DAMP", BLIND),
    Case("sensor_not_finite", sensor("position", np.array([np.nan, 0.0, 0.6])), "DAMP", BLIND),
    Case("sensor_malformed", sensor("position", None), "DAMP", BLIND),
    Case("sensor_malformed", sensor("orientation", np.ones(3)), "DAMP", BLIND),
    Case("sensor_malformed", sensor("linear_velocity", "fast"), "DAMP", BLIND),
    Case("sensor_out_of_range", sensor("position", np.array([0.0, 0.0, 1e6])), "DAMP", BLIND),
    Case("tilt", sensor("orientation", TILTED), "DAMP", TICK + DELAY),
    Case("speed", sensor("linear_velocity", np.array([0.0, 0.0, 4.0])), "DAMP", TICK + DELAY),
    Case("position_error", sensor("position", np.array([0.0, 0.6, 0.6])), "DAMP", TICK + DELAY),
    Case("geofence", sensor("position", np.array([0.0, 3.0, 0.6])), "DAMP", TICK + DELAY),
    Case("link_lost", link(connected=False), "DAMP", TICK),
    Case("heartbeat_lost", set_later(heartbeat=False), "DAMP", 0.5 + STATUS_PERIOD + TICK),
    Case("robot_failsafe", link(robot_state=FAILSAFE), "DAMP", TICK),
    Case("robot_restarted", link(boot="another one"), "DAMP", TICK),
    Case("not_owner", link(owner="them"), "DAMP", TICK),
    Case("link_refused", set_later(refuse=True), "DAMP", TICK),
    Case("command_not_finite", output(lambda command: command * np.nan), "DAMP", TICK),
    Case("command_malformed", output(lambda command: command[:3]), "DAMP", TICK),
    Case("loop_exception", output(explode), "DAMP", TICK),
    Case("loop_exception", set_later(read=explode), "DAMP", TICK),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.cause)
def test_a_fault_ends_in_its_documented_state_in_time(case: Case) -> None:
    report, robot = fly_fake(case.prepare)
    assert report.final_state == case.final
    assert case.cause in {event.cause for event in report.events}
    start = robot.commands[0][0]
    assert robot.commands[-1][0] - start <= FAULT_AT + case.bound
    assert report.duration <= FAULT_AT + case.bound + 0.15 + TICK
    assert (report.success, report.exit_code) == (False, 1)
    assert report.states[-1].target == case.final
    assert report.outcome.startswith("ended by ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.cause)
def test_no_command_outside_limits_leaves_and_the_robot_is_released(case: Case) -> None:
    _, robot = fly_fake(case.prepare)
    commands = np.array([command for _, command in robot.commands])
    assert np.isfinite(commands).all()
    assert ((commands >= 0.0) & (commands <= HIGH)).all()
    asked = [call for call in robot.calls if call in ("stop", "emergency_stop")]
    assert asked == ["stop"] * 3
    assert robot.calls[-1] == "close"


def test_every_cause_that_ends_a_flight_is_flown_here_or_in_the_tests_of_sessions() -> None:
    flown = {case.cause for case in CASES} | {"second_writer", "land_timeout", "loop_stall", "command_age"}
    elsewhere = {"emergency_requested", "connect_failed", "arming_refused"} | REQUESTS
    walked = {"gains_differ", "stand_failed"}  # tests/real/missions/test_walk.py
    assert {cause for cause, r in REACTIONS.items() if r.trigger is not None} <= flown | elsewhere | walked


def test_a_second_writer_makes_it_land_while_the_robot_still_obeys() -> None:
    report, robot = fly_fake(link(other_writers=1))
    assert (report.final_state, report.exit_code) == ("IDLE", 1)
    assert [s.target for s in report.states] == ["READY", "POLICY", "LAND", "IDLE"]
    assert report.states[-2].cause == "second_writer"
    assert robot.position[2] < 0.06
    assert (robot.commands[-1][1] == 0.0).all()


def test_a_second_writer_that_takes_the_robot_over_in_the_landing_ends_in_damp() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        robot.at(FAULT_AT, lambda: robot.__dict__.update(spoil_link=lambda values: {**values, "other_writers": 1}))
        robot.at(FAULT_AT + 0.5, lambda: robot.__dict__.update(spoil_link=lambda values: {**values, "owner": "them"}))

    report, _ = fly_fake(prepare)
    assert [s.target for s in report.states][-2:] == ["LAND", "DAMP"]


def test_a_landing_that_never_ends_is_given_up() -> None:
    def drift(sensors: dict[str, Any]) -> dict[str, Any]:
        # It reports to be where it was, and always to be sinking: it neither lands nor rests.
        return {**sensors, "position": np.array([0.0, 0.0, 0.4]), "linear_velocity": np.array([0.0, 0.0, -0.3])}

    roomy = replace(make_manifest().safety, max_position_error=5.0)
    report, _ = fly_fake(set_later(spoil=drift), FakeBundle(make_manifest(safety=roomy)))
    assert (report.final_state, report.states[-1].cause) == ("DAMP", "land_timeout")
    assert report.duration < 2.0 + 1.5 * 0.6 / 0.3 + 5.0 + 0.1


def test_a_second_request_cuts_the_actuators_even_while_the_robot_is_being_released() -> None:
    clock, requests = FakeClock(), StopRequests()
    robot = FakeRobot(clock)
    robot.at(FAULT_AT, requests.ask)
    robot.at(FAULT_AT + 0.5, lambda: robot.__dict__.update(spoil_link=lambda values: {**values, "owner": "them"}))
    stop = robot.stop

    def stop_and_ask() -> None:
        stop()
        requests.ask()

    robot.__dict__["stop"] = stop_and_ask
    report = fly(FakeBundle(), robot, clock, requests, duration=60.0)
    assert [s.target for s in report.states][-3:] == ["LAND", "DAMP", "ESTOP"]
    assert robot.calls[-4:] == ["stop", "emergency_stop", "emergency_stop", "close"]


@pytest.mark.parametrize("method", ["connect", "arm", "read", "link"])
def test_an_exception_before_the_flight_is_recorded_and_nothing_is_sent(method: str) -> None:
    report, robot = fly_fake(lambda robot, bundle: robot.__dict__.update({method: explode}))
    assert (report.final_state, report.exit_code, report.commands_sent) == ("IDLE", 1, 0)
    assert report.outcome.startswith("no flight: ZeroDivisionError: spoilt at test_faults.py:")
    assert robot.commands == []
    assert robot.calls[-1] == "close"


@pytest.mark.parametrize("method", ["read", "link", "write"])
def test_an_exception_of_the_driver_in_flight_ends_in_damp(method: str) -> None:
    report, robot = fly_fake(set_later(**{method: explode}))
    assert (report.final_state, report.states[-1].cause, report.exit_code) == ("DAMP", "loop_exception", 1)
    assert "test_faults.py" in {e.cause: e.detail for e in report.events}["loop_exception"]
    assert robot.calls[-4:] == ["stop", "stop", "stop", "close"]


def test_an_exception_of_the_driver_as_it_stops_keeps_no_second_request_from_leaving() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        stop = robot.stop

        def stop_and_explode() -> None:
            stop()
            explode()

        robot.__dict__["stop"] = stop_and_explode
        sensor("orientation", TILTED)(robot, bundle)

    report, robot = fly_fake(prepare)
    assert report.final_state == "DAMP"
    assert robot.calls[-4:] == ["stop", "stop", "stop", "close"]


def test_a_frozen_process_sends_nothing_stale_when_it_goes_on() -> None:
    frozen: list[float] = []

    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        def freeze(sensors: Any, command: Any) -> Any:
            if not frozen and bundle.policy.steps > 100:
                frozen.append(robot.clock.time)
                robot.clock.sleep(3.0)
            return command

        bundle.policy.spoil = freeze

    report, robot = fly_fake(prepare, duration=10.0)
    assert report.final_state == "DAMP"
    assert {"command_age", "loop_overrun"} <= {event.cause for event in report.events}
    assert robot.commands[-1][0] <= frozen[0]


def test_a_slow_policy_never_sends_old_commands() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        def slow(sensors: Any, command: Any) -> Any:
            robot.clock.sleep(0.07 if bundle.policy.steps > 100 else 0.0)
            return command

        bundle.policy.spoil = slow

    report, _ = fly_fake(prepare)
    assert (report.final_state, report.states[-1].cause) == ("DAMP", "command_age")


def test_a_stall_between_two_ticks_ends_the_flight() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        write = robot.write
        stalled: list[bool] = []

        def stall(command: Any, reading: Any) -> None:
            write(command, reading)
            if bundle.policy.steps > 100 and not stalled:
                stalled.append(True)
                robot.clock.sleep(1.0)

        robot.__dict__["write"] = stall

    report, _ = fly_fake(prepare)
    assert (report.final_state, report.states[-1].cause) == ("DAMP", "loop_stall")


def test_a_few_bad_and_reordered_readings_do_not_end_a_flight() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        def spoil(sensors: dict[str, Any]) -> dict[str, Any]:
            bad = bool(robot.commands) and robot._sequence % 25 == 0
            return {**sensors, "position": np.full(3, np.nan)} if bad else sensors

        robot.spoil = spoil
        robot.delay = lambda sequence: 0.0225 if robot.commands and sequence % 7 == 0 else DELAY

    report, _ = fly_fake(prepare)
    events = {event.cause: event for event in report.events}
    assert report.success
    assert events["stale_reading"].count > 20
    assert events["sensor_not_finite"].count >= 5
    assert events["sensor_not_finite"].trigger is None
    assert report.position_error.max is not None
    assert report.position_error.max < 0.05


def test_a_command_beyond_its_limits_is_clamped_recorded_and_flown() -> None:
    def prepare(robot: FakeRobot, bundle: FakeBundle) -> None:
        def spoil(sensors: Any, command: Any) -> Any:
            return {"rotor_speed": command["rotor_speed"] * (3.0 if 100 <= bundle.policy.steps < 103 else 1.0)}

        bundle.policy.spoil = spoil

    report, _ = fly_fake(prepare)
    events = {event.cause: event for event in report.events}
    assert report.success
    assert events["command_clamped"].count == 3
    assert report.commands["rotor_speed"]["max"] <= [HIGH] * 4
