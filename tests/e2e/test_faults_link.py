"""Faults of the link in flight: the bridge killed or frozen, the robot's process killed."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e.flight_stack import Stack, check_failsafe, check_rotors

pytestmark = pytest.mark.e2e


def test_bridge_killed_and_restarted(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    stack.bridge.send(signal.SIGKILL)
    flight.robot_enters("failsafe")
    report = flight.report()
    stack.restart_bridge()
    assert report.exit_code == 1
    assert report.ended_by == {"link_lost"}
    assert report.states[-1] == "DAMP"
    flight.touches_down()
    check_failsafe(stack.rotor)
    check_rotors(stack.rotor)


def test_bridge_frozen_for_three_seconds(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    stack.bridge.send(signal.SIGSTOP)
    try:
        flight.robot_enters("failsafe")
        time.sleep(3.0)
    finally:
        stack.bridge.send(signal.SIGCONT)
    report = flight.report()
    assert report.exit_code == 1
    # The socket stays open: only the age of the readings and the missing heartbeat can tell.
    assert report.ended_by & {"state_age", "heartbeat_lost"}
    assert report.states[-1] == "DAMP"
    flight.touches_down()
    check_failsafe(stack.rotor)
    check_rotors(stack.rotor)
    # What waited inside the frozen bridge was delivered three seconds late, and kept from the rotors.
    late = [record for record in stack.rotor.read("rejected") if record["age"] > 1.0]
    assert {record["cause"] for record in late} <= {"not armed", "stale"}


def test_robot_killed(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    stack.robot.send(signal.SIGKILL)
    report = flight.report()
    try:
        assert report.exit_code == 1
        assert report.ended_by & {"state_age", "heartbeat_lost"}
        assert report.states[-1] == "DAMP"
        check_rotors(stack.rotor)
    finally:
        stack.restart_robot()
