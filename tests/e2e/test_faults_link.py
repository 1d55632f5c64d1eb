"""Faults of the link in flight: the bridge killed or frozen, commands late or out of order, the robot killed."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e.fault_proxy import delay
from tests.e2e.flight_stack import (
    BLIND,
    STATUS_PERIOD,
    TICK,
    WATCHDOG,
    Stack,
    check_failsafe,
    check_host,
    check_rotors,
)
from tests.real.bridge.bridge_in_thread import BareClient

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]

COMMAND = "/rotor_command"


def test_bridge_killed_and_restarted(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    fault_at = time.time()
    stack.restart_bridge()
    report = flight.report()
    check_host(report, "DAMP", {"link_lost"}, fault_at, within=TICK)
    flight.touches_down()
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)
    # The robot is back on the bridge, and nothing that came with the new connection has moved it.
    client = BareClient(stack.url)
    assert stack.mode(client) == "failsafe"
    client.close()
    assert stack.rotor.read("rejected") == []


def test_bridge_frozen_for_two_seconds(stack: Stack) -> None:
    for _ in range(4):
        flight = stack.deploy("--duration", "20")
        flight.fly_for()
        fault_at = time.time()
        stack.bridge.send(signal.SIGSTOP)
        try:
            flight.robot_enters("failsafe")
            report = flight.report()
            time.sleep(max(0.0, fault_at + 2.0 - time.time()))
            rejected_before = len(stack.rotor.read("rejected"))
        finally:
            stack.bridge.send(signal.SIGCONT)
        # The socket stays open: only the age of the readings and the missing heartbeat show it.
        check_host(report, "DAMP", {"state_age"}, fault_at, within=BLIND)
        flight.touches_down()
        check_failsafe(stack.rotor, since=fault_at)
        check_rotors(stack.rotor)
        time.sleep(1.0)
        if late := stack.rotor.read("rejected")[rejected_before:]:
            break
        # A host that the system put aside just then had sent nothing that could wait in the bridge: once more.
        stack.reset()
    # What waited inside the frozen bridge is delivered long after, and is kept from the rotors.
    assert late
    assert min(record["age"] for record in late) > 1.0
    assert {record["cause"] for record in late} == {"not armed"}


def test_commands_delayed_and_reordered(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20", through_proxy=True)
    flight.fly_for()
    fault_at = time.time()
    # Later than the robot takes them, and soon enough to arrive before the flight is given up.
    stack.proxy.upward_faults[COMMAND] = delay(0.16, spread=0.05)
    report = flight.report()
    # The host's own readings are fresh: it is the robot that finds the commands too old, says so and takes over.
    check_host(report, "DAMP", {"robot_failsafe"}, fault_at, within=WATCHDOG + STATUS_PERIOD + TICK)
    flight.touches_down()
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)
    rejected = stack.rotor.read("rejected")
    assert rejected
    assert {record["cause"] for record in rejected} <= {"stale", "not armed"}
    assert min(record["age"] for record in rejected) > 0.1


def test_commands_out_of_order_within_their_time_are_flown_through(stack: Stack) -> None:
    stack.proxy.upward_faults[COMMAND] = delay(0.012, spread=0.01)
    flight = stack.deploy("--duration", "1.5", through_proxy=True)
    report = flight.report()
    assert report.exit_code == 0, report.output
    assert report.causes["command_rejected"]["count"] >= 1
    # The stop on the ground is not delayed, so that it may overtake the last commands.
    causes = [record["cause"] for record in stack.rotor.read("rejected")]
    assert "out of order" in causes
    assert set(causes) <= {"out of order", "not armed"}
    check_rotors(stack.rotor)


def test_robot_killed(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    fault_at = time.time()
    stack.robot.send(signal.SIGKILL)
    report = flight.report()
    try:
        check_host(report, "DAMP", {"state_age"}, fault_at, within=BLIND)
        check_rotors(stack.rotor)
    finally:
        stack.restart_robot()
