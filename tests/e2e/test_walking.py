"""Walks without faults, as real processes at 50 Hz: a commanded square with a push, and a walk by /cmd_vel."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from real.recording.messages import read_recording
from tests.e2e.processes import Process, RotorRecords, eventually
from tests.e2e.walk_stack import QUICK, WalkStack, check_motors
from tests.real.bridge.bridge_in_thread import BareClient

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]

WALK = ["READY", "STAND", "POLICY", "HALT", "STAND", "LIE", "IDLE"]


@pytest.mark.slow
def test_it_stands_walks_a_square_is_pushed_stops_and_lies_down(walk_stack: WalkStack) -> None:
    square = ("--program", "square", "--side", "0.5", "--speed", "0.4", "--turn-rate", "0.8")
    flight = walk_stack.walk(*square, *QUICK)
    walk_stack.person("push 0 0.5 0 0 0 0")
    report = flight.report()
    assert report.exit_code == 0, report.output
    assert report.values["outcome"] == "walked and lay down"
    assert report.states == WALK
    assert report.values["schedule"]["period_ms"] == 20.0
    check_motors(walk_stack)
    assert [record["after"] for record in walk_stack.rotor.read("state")] == ["ready", "active", "resting"]
    assert [record["what"][:4] for record in walk_stack.rotor.read("event")] == ["push"]
    _, poses = walk_stack.path()
    x, y, z, yaw = poses.T
    assert 0.25 < x.max() < 0.9
    assert 0.25 < y.max() < 0.9
    assert np.unwrap(yaw)[-1] == pytest.approx(2.0 * np.pi, abs=0.6)
    assert float(np.hypot(x[-1], y[-1])) < 0.35
    assert z.max() > 0.24
    assert z[-1] < 0.12


def publish_velocity(url: str, stop: threading.Event) -> None:
    """A person with a joystick: 50 m/s forward, ten times a second."""
    client = BareClient(url)
    client.send({"op": "advertise", "topic": "/cmd_vel", "type": "geometry_msgs/msg/Twist"})
    message: dict[str, Any] = {"linear": {"x": 50.0, "y": 0.0, "z": 0.0}, "angular": {"x": 0.0, "y": 0.0, "z": 0.0}}
    while not stop.wait(0.1):
        client.send({"op": "publish", "topic": "/cmd_vel", "msg": message})
    client.close()


def test_it_follows_cmd_vel_within_limits_and_halts_when_it_falls_silent(walk_stack: WalkStack) -> None:
    flight = walk_stack.walk("--duration", "4", *QUICK)
    stop = threading.Event()
    person = threading.Thread(target=publish_velocity, args=(walk_stack.url, stop))
    person.start()
    walked = len(walk_stack.rotor.read("accepted"))
    eventually(lambda: len(walk_stack.rotor.read("accepted")) > walked + 50, "it walks for a second")
    stop.set()
    person.join()
    report = flight.report()
    assert report.exit_code == 0, report.output
    assert report.causes["cmd_vel_lost"]["trigger"] is None
    assert report.causes["cmd_vel_lost"]["value"] > 0.5
    goals = [content["goal"]["velocity_command"][0] for _, content in read_recording(report.recording)["/goal"]]
    assert max(goals) == pytest.approx(1.0)  # What the policy was trained for, not what was asked.
    assert np.abs(np.diff(goals)).max() <= 1.5 * 0.1 + 1e-9
    assert goals[-1] == 0.0
    check_motors(walk_stack)


def test_a_robot_with_other_gains_is_refused_in_one_line(walk_stack: WalkStack, tmp_path: Path) -> None:
    log = tmp_path / "soft.jsonl"
    soft = Process(
        ["robot", "go1", "--url", walk_stack.url, "--log", str(log), "--namespace", "/soft", "--stiffness-scale", "0.5"]
    )
    try:
        soft.wait_for("robot ready")
        report = walk_stack.deploy("--namespace", "/soft").report()
    finally:
        soft.end()
    assert report.exit_code == 1
    wanted = "no walk: gains_differ: 17.5 (limit 35), stiffness of FR_hip_joint; set the robot's to 35"
    assert report.values["outcome"].startswith(wanted)
    assert report.states == []
    assert RotorRecords(log).read("accepted") == []
    assert RotorRecords(log).read("state") == []
