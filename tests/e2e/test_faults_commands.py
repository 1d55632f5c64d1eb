"""Faults on the way to the rotors: a second writer, and a policy whose output is not a number."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.e2e.flight_stack import TICK, Stack, check_failsafe, check_host, check_rotors
from tests.real.bridge.bridge_in_thread import BareClient

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]


def write_as_a_stranger(url: str, stop: threading.Event, began: list[float]) -> None:
    """Commands without any fault but their writer: finite, within limits, fresh, in order.

    Notes in `began` when each is sent, in s of Unix time.
    """
    client = BareClient(url)
    client.send({"op": "advertise", "topic": "/rotor_command", "type": "actuator_msgs/msg/Actuators"})
    client.send({"op": "subscribe", "topic": "/odom", "type": "nav_msgs/msg/Odometry", "queue_length": 1})
    sequence = 0
    while not stop.is_set():
        operation: dict[str, Any] = client.receive()
        sequence += 1
        header = {"stamp": operation["msg"]["header"]["stamp"], "frame_id": f"stranger/{sequence}"}
        message = {"header": header, "velocity": [0.0, 0.0, 0.0, 0.0]}
        began.append(time.time())
        client.send({"op": "publish", "topic": "/rotor_command", "msg": message})
    client.close()


def test_a_second_writer_on_the_command_topic(stack: Stack) -> None:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    stop = threading.Event()
    began: list[float] = []
    stranger = threading.Thread(target=write_as_a_stranger, args=(stack.url, stop, began))
    stranger.start()
    try:
        report = flight.report()
    finally:
        stop.set()
        stranger.join()
    check_host(report, "LAND", {"second_writer"}, began[0], within=TICK)
    assert report.states == ["READY", "POLICY", "LAND", "IDLE"]
    changes = [record["after"] for record in stack.rotor.read("state")]
    assert changes == ["flying", "landed"]
    assert "not the owner" in {record["cause"] for record in stack.rotor.read("rejected")}
    check_rotors(stack.rotor)


def test_policy_output_that_is_not_a_number(stack: Stack) -> None:
    step = ("--setpoint", "step", "--step-time", "0.5", "--step-offset", "0.3", "0", "0")
    flight = stack.deploy("--duration", "20", *step)
    report = flight.report()
    stepped_at = report.entered("POLICY")["time"] + 0.5
    check_host(report, "DAMP", {"command_not_finite"}, stepped_at, within=TICK)
    flight.touches_down()
    check_failsafe(stack.rotor, since=stepped_at)
    assert stack.rotor.read("state")[1]["cause"] == "stop request"
    check_rotors(stack.rotor)
