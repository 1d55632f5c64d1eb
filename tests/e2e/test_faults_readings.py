"""Faults of the readings in flight, made by the fault proxy between bridge and host while the link itself lives."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.e2e.fault_proxy import Fault, delay, drop, spoil
from tests.e2e.flight_stack import BLIND, Stack, check_failsafe, check_host, check_rotors

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]

ODOMETRY = "/odom"
X = ("pose", "pose", "position", "x")


def test_odometry_stopped_while_the_link_lives(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20", through_proxy=True)
    flight.fly_for()
    fault_at = time.time()
    stack.proxy.faults[ODOMETRY] = drop
    report = flight.report()
    check_host(report, "DAMP", {"state_age"}, fault_at, within=BLIND)
    flight.touches_down()
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        pytest.param(spoil(*X, value=math.nan), "non-finite", id="nan"),
        pytest.param(spoil(*X, value=None), "null", id="null"),
        pytest.param(spoil("twist", "covariance", value=[0.0] * 35), "wrong length", id="length"),
        pytest.param(spoil("pose", "pose", "position", value=[1.0, 2.0, 3.0]), "wrong type", id="type"),
    ],
)
def test_odometry_that_can_not_be_read(stack: Stack, fault: Fault, cause: str) -> None:
    flight = stack.deploy("--duration", "20", through_proxy=True)
    flight.fly_for()
    fault_at = time.time()
    stack.proxy.faults[ODOMETRY] = fault
    report = flight.report()
    check_host(report, "DAMP", {"state_age"}, fault_at, within=BLIND)
    assert cause in report.causes["reading_dropped"]["detail"]
    flight.robot_enters("failsafe")
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)


def test_single_bad_readings_are_recorded_and_flown_through(stack: Stack) -> None:
    numbers = iter(range(10**9))

    def every_tenth(message: Any) -> Iterable[tuple[float, Any]]:
        return spoil(*X, value=None)(message) if next(numbers) % 10 == 0 else ((0.0, message),)

    stack.proxy.faults[ODOMETRY] = every_tenth
    flight = stack.deploy("--duration", "1.5", through_proxy=True)
    report = flight.report()
    assert report.exit_code == 0, flight.process.output
    assert report.causes["reading_dropped"]["count"] >= 1
    check_rotors(stack.rotor)


def test_messages_delayed_and_reordered(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20", through_proxy=True)
    flight.fly_for()
    fault_at = time.time()
    for topic in (ODOMETRY, "/imu", "/robot_status"):
        stack.proxy.faults[topic] = delay(0.3, spread=0.05, seed=len(topic))
    report = flight.report()
    check_host(report, "DAMP", {"state_age"}, fault_at, within=BLIND)
    flight.robot_enters("failsafe")
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)
