"""Faults in mid-walk, with real processes: what docs/legged-deployment.md says the host and the robot do."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from tests.e2e.fault_proxy import delay, drop, spoil
from tests.e2e.flight_stack import MARGIN, STATUS_PERIOD, WATCHDOG
from tests.e2e.processes import eventually
from tests.e2e.walk_stack import BLIND, FORWARD, QUICK, TICK, WalkStack, check_damped, check_host, check_motors
from tests.real.bridge.bridge_in_thread import BareClient

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]

LONG = ("--duration", "20", *FORWARD)


def test_the_robot_process_restarted_in_mid_walk(walk_stack: WalkStack) -> None:
    flight = walk_stack.walk(*LONG)
    fault_at = time.time()
    before = walk_stack.rotor
    walk_stack.begin_restart()
    report = flight.report()
    check_host(report, "DAMP", {"state_age", "robot_restarted", "link_refused"}, fault_at, within=BLIND)
    assert before.read("accepted")[-1]["time"] <= fault_at + MARGIN
    walk_stack.robot.wait_for("robot ready")
    client = BareClient(walk_stack.url)
    assert walk_stack.mode(client) == "resting"
    client.close()
    # Nothing of the walk has reached the new robot: it lies as it was put down.
    eventually(lambda: len(walk_stack.rotor.read("truth")) > 50, "the new robot runs")
    assert walk_stack.rotor.read("accepted") == []
    assert max(record["position"][2] for record in walk_stack.rotor.read("truth")) < 0.16


def test_a_robot_that_restarts_faster_than_any_time_out_shows_by_its_boot_identity(walk_stack: WalkStack) -> None:
    def reboot(message: Any) -> Iterable[tuple[float, Any]]:
        (pair,) = (p for p in message["status"][0]["values"] if p["key"] == "boot")
        pair["value"] = "another"
        return ((0.0, message),)

    flight = walk_stack.walk(*LONG, through_proxy=True)
    fault_at = time.time()
    walk_stack.proxy.faults["/robot_status"] = reboot
    report = flight.report()
    check_host(report, "DAMP", {"robot_restarted"}, fault_at, within=STATUS_PERIOD + TICK)
    flight.robot_enters("failsafe")
    check_damped(walk_stack, since=fault_at)
    check_motors(walk_stack)


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        pytest.param("/joint_states", delay(0.13), id="joints 130 ms late"),
        pytest.param("/joint_states", drop, id="no joints"),
        pytest.param("/imu/data", drop, id="no imu"),
        pytest.param("/joint_states", spoil("position", 3, value=float("nan")), id="a joint not a number"),
    ],
)
def test_readings_too_old_or_unreadable(walk_stack: WalkStack, topic: str, fault: Any) -> None:
    flight = walk_stack.walk(*LONG, through_proxy=True)
    fault_at = time.time()
    walk_stack.proxy.faults[topic] = fault
    report = flight.report()
    check_host(report, "DAMP", {"state_age"}, fault_at, within=BLIND)
    flight.robot_enters("failsafe")
    check_damped(walk_stack, since=fault_at)
    check_motors(walk_stack)


def test_a_fall_beyond_sixty_degrees(walk_stack: WalkStack) -> None:
    flight = walk_stack.walk(*LONG)
    fault_at = time.time()
    walk_stack.person("push 0 0 2 16 0 0")
    report = flight.report()
    # It takes a while to fall; then the first tick that sees it ends the walk.
    check_host(report, "DAMP", {"tilt"}, fault_at, within=1.0 + TICK)
    assert report.causes["tilt"]["limit"] == pytest.approx(np.radians(60.0))
    flight.robot_enters("failsafe")
    check_damped(walk_stack, since=fault_at)
    check_motors(walk_stack)


def test_targets_beyond_limits_are_clamped_in_position_rate_and_torque(walk_stack: WalkStack) -> None:
    report = walk_stack.deploy("--duration", "0.6", "--command", "0", "-0.4", "0", *QUICK).report()
    assert {"command_clamped", "command_rate_clamped", "torque_clamped"} <= report.causes.keys(), report.output
    # Whether the robot falls over is another matter; nothing else may end it.
    assert report.ended_by <= {"tilt", "duration_over", "stand_failed"}, report.output
    check_motors(walk_stack)


def test_a_policy_output_that_is_not_a_number(walk_stack: WalkStack) -> None:
    report = walk_stack.deploy("--command", "0", "0.4", "0", *QUICK).report()
    walking_since = report.entered("POLICY")["time"]
    check_host(report, "DAMP", {"command_not_finite"}, walking_since, within=0.5)
    check_damped(walk_stack, since=walking_since)
    check_motors(walk_stack)


def test_a_second_writer(walk_stack: WalkStack) -> None:
    flight = walk_stack.walk(*LONG)
    client = BareClient(walk_stack.url)
    client.send({"op": "advertise", "topic": "/joint_command", "type": "sensor_msgs/msg/JointState"})
    client.send({"op": "subscribe", "topic": "/joint_states", "type": "sensor_msgs/msg/JointState"})
    state = client.receive()["msg"]
    header = {"stamp": state["header"]["stamp"], "frame_id": "stranger/1"}
    message = {"header": header, "name": state["name"], "position": state["position"]}
    fault_at = time.time()
    client.send({"op": "publish", "topic": "/joint_command", "msg": message})
    client.close()
    report = flight.report()
    check_host(report, "HALT", {"second_writer"}, fault_at, within=TICK)
    assert report.states == ["READY", "STAND", "POLICY", "HALT", "STAND", "LIE", "IDLE"]
    assert {record["cause"] for record in walk_stack.rotor.read("rejected")} == {"not the owner"}
    check_motors(walk_stack)


def test_a_request_to_end_halts_stands_and_lies_down(walk_stack: WalkStack) -> None:
    flight = walk_stack.walk(*LONG)
    fault_at = time.time()
    flight.process.send(signal.SIGINT)
    report = flight.report()
    check_host(report, "HALT", {"stop_requested"}, fault_at, within=TICK, code=0)
    assert report.states == ["READY", "STAND", "POLICY", "HALT", "STAND", "LIE", "IDLE"]
    check_motors(walk_stack)


def test_the_deploy_process_killed(walk_stack: WalkStack) -> None:
    flight = walk_stack.walk(*LONG)
    fault_at = time.time()
    flight.process.send(signal.SIGKILL)
    flight.process.exit_code()
    assert flight.robot_enters("failsafe") - fault_at <= WATCHDOG + MARGIN
    assert walk_stack.rotor.read("state")[-1]["cause"] == "no accepted command for 0.2 s"
    check_damped(walk_stack, since=fault_at)
    check_motors(walk_stack)
    # Without stiffness the robot sinks to the ground.
    eventually(lambda: bool(walk_stack.rotor.read("truth")[-1]["position"][2] < 0.12), "the robot lies")
