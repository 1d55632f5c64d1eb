"""A chip's host on a real bridge: what is shown there, and what comes from there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from real.bridge.settings import BridgeSettings
from real.contract.robot import Robot
from real.contract.stop_requests import StopRequests
from real.robots.companion import CompanionRobot
from real.robots.serial import SerialRobot, SerialSettings
from real.ros import messages
from real.ros.connection import RosbridgeConnection
from real.ros.fields import MalformedMessage
from tests.real.bridge.bridge_in_thread import BareClient, bridge
from tests.real.fake_robot import make_manifest
from tests.real.serial_chip_stand_in import ChipStandIn

pytestmark = pytest.mark.realtime


def as_robot(robot: CompanionRobot) -> Robot:
    """The type checker proves here that it is a robot."""
    return robot


class Stand:
    """A chip, a bridge, the host's robot on both, and somebody else on the bridge."""

    def __init__(self, url: str) -> None:
        self.chip = ChipStandIn(model_word=0)
        self.requests = StopRequests()
        inner = SerialRobot(SerialSettings(port=self.chip.url), make_manifest())
        self.robot = CompanionRobot(inner, RosbridgeConnection(url=url), self.requests)
        self.client = BareClient(url)
        for topic, kind in (
            ("/setpoint_pose", "geometry_msgs/msg/PoseStamped"),
            ("/robot_stop", "std_msgs/msg/String"),
        ):
            self.client.send({"op": "advertise", "topic": topic, "type": kind})
        self.robot.connect(10.0)

    def publish(self, topic: str, message: Any) -> None:
        self.client.send({"op": "publish", "topic": topic, "msg": message})

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen that {what}"
            self.robot.read()
            self.robot.link()
            time.sleep(0.005)

    def close(self) -> None:
        self.client.close()
        self.robot.close()
        self.chip.close()


@pytest.fixture
def stand() -> Iterator[Stand]:
    with bridge(BridgeSettings(port=0)) as url:
        stand = Stand(url)
        yield stand
        stand.close()


def pose(x: Any = 0.1, frame: str = "world") -> dict[str, Any]:
    return {
        "header": {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": frame},
        "pose": {"position": {"x": x, "y": 0.0, "z": 1.0}, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}},
    }


def test_odometry_and_status_are_shown(stand: Stand) -> None:
    stand.chip.position = np.array([0.0, 0.25, 0.5])
    for topic, kind in (("/odom", "nav_msgs/msg/Odometry"), ("/robot_status", "diagnostic_msgs/msg/DiagnosticArray")):
        stand.client.send({"op": "subscribe", "topic": topic, "type": kind})
    stand.client.settle()
    found: dict[str, Any] = {}

    def both() -> bool:
        while True:
            try:
                operation = stand.client.receive(0.01)
            except TimeoutError:
                # The first odometry may still say where the chip was before.
                return len(found) == 2 and found["/odom"]["pose"]["pose"]["position"]["z"] > 0.0
            if operation["op"] == "publish":
                found[operation["topic"]] = operation["msg"]

    stand.until(both, "odometry and status come")
    odometry = messages.parse_odometry(found["/odom"], 2)
    assert odometry.position == pytest.approx([0.0, 0.25, 0.5])
    assert abs(odometry.stamp * 1e-9 - time.time()) < 10.0, "a stamp on the bridge is a time of day"
    status = messages.parse_status(found["/robot_status"], 2)
    assert status.state == "resting"
    assert status.values["boot"] == "1234abcd"


def test_a_pose_in_the_world_is_the_setpoint_and_others_are_counted(stand: Stand) -> None:
    stand.publish("/setpoint_pose", pose(0.5))
    stand.until(lambda: stand.robot.user_goal is not None, "the pose comes")
    assert stand.robot.user_goal is not None
    position, came = stand.robot.user_goal
    assert position.tolist() == [0.5, 0.0, 1.0]
    assert came <= time.monotonic()
    stand.publish("/setpoint_pose", pose(0.7, frame="base_link"))
    stand.until(lambda: "bridge: wrong frame" in stand.robot.link().faults, "the frame is refused")
    assert stand.robot.user_goal[0].tolist() == [0.5, 0.0, 1.0]


@pytest.mark.parametrize("x", [None, "far", math.nan, []])
def test_a_pose_with_holes_is_refused(x: Any) -> None:
    with pytest.raises(MalformedMessage):
        messages.parse_pose(pose(x))


def test_a_stop_on_the_bridge_lands_however_often_it_is_sent_and_an_estop_stops(stand: Stand) -> None:
    for _ in range(3):
        stand.publish("/robot_stop", {"data": "person stop"})
    stand.until(lambda: stand.requests.count == 1, "the host is asked to land")
    stand.client.settle()
    for _ in range(20):
        stand.robot.read()
        time.sleep(0.005)
    assert stand.requests.count == 1
    stand.publish("/robot_stop", {"data": "person estop"})
    stand.until(lambda: stand.requests.count == 2, "the host is asked to stop at once")


def test_a_missing_bridge_is_reported() -> None:
    chip = ChipStandIn(model_word=0)
    inner = SerialRobot(SerialSettings(port=chip.url), make_manifest())
    robot = CompanionRobot(inner, RosbridgeConnection(url="ws://127.0.0.1:9"), StopRequests())
    try:
        with pytest.raises(ConnectionError, match=r"no connection to the bridge ws://127\.0\.0\.1:9 within 0\.3 s"):
            robot.connect(0.3)
    finally:
        chip.close()
