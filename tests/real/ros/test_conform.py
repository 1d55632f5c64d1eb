"""Type checks as a ROS server makes them: what does not fit is dropped whole, what is missing is filled."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from real.ros import messages
from real.ros.conform import MessageMismatch, conform, without_nan
from real.ros.messages import ActuatorSample, StatusSample

NOW = 1_700_000_000_000_000_007


@pytest.mark.parametrize("version", [1, 2])
def test_our_own_messages_pass_unchanged(version: Any) -> None:
    command = messages.actuators_message(ActuatorSample(5, "w", 1, (1.0, 2.0)), version)
    assert conform("actuator_msgs/Actuators", command, version, NOW) == command
    status = messages.status_message(StatusSample(5, "flying", {"owner": "w"}), version)
    assert conform("diagnostic_msgs/DiagnosticArray", status, version, NOW) == status


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("geometry_msgs/Point", {"x": 1.0, "speed": 2.0}),
        ("geometry_msgs/Point", {"x": None}),
        ("geometry_msgs/Point", {"x": "1"}),
        ("geometry_msgs/Point", {"x": True}),
        ("geometry_msgs/Point", {"x": 10**400}),
        ("geometry_msgs/Point", [1.0, 2.0, 3.0]),
        ("geometry_msgs/PoseWithCovariance", {"covariance": [0.0] * 35}),
        ("geometry_msgs/PoseWithCovariance", {"covariance": [0.0] * 35 + [None]}),
        ("sensor_msgs/JointState", {"position": 1.0}),
        ("std_msgs/String", {"data": 3}),
        ("std_msgs/Bool", {"data": 1}),
        ("diagnostic_msgs/DiagnosticStatus", {"level": 256}),
        ("std_msgs/Int32", {"data": 1.5}),
    ],
)
def test_misfits_are_refused(kind: str, message: object) -> None:
    with pytest.raises(MessageMismatch):
        conform(kind, message, 2, NOW)


def test_missing_fields_are_filled_and_whole_numbers_become_floats() -> None:
    filled = conform("geometry_msgs/Twist", {"linear": {"x": 1}}, 2, NOW)
    assert filled == {"linear": {"x": 1.0, "y": 0.0, "z": 0.0}, "angular": {"x": 0.0, "y": 0.0, "z": 0.0}}
    assert type(filled["linear"]["x"]) is float
    assert len(conform("nav_msgs/Odometry", {}, 2, NOW)["pose"]["covariance"]) == 36


def test_a_header_without_a_stamp_gets_the_servers_time() -> None:
    headers: list[dict[str, Any]] = [{}, {"frame_id": "a"}, {"stamp": {}}, {"stamp": {"secs": 1, "nsecs": 2}}]
    for header in headers:
        filled = conform("geometry_msgs/TwistStamped", {"header": header}, 2, NOW)
        assert filled["header"]["stamp"] == {"sec": 1_700_000_000, "nanosec": 7}


def test_only_ros_1_headers_have_a_sequence() -> None:
    assert conform("std_msgs/Header", {"seq": 3}, 1, NOW)["seq"] == 3
    with pytest.raises(MessageMismatch, match="seq"):
        conform("std_msgs/Header", {"seq": 3}, 2, NOW)


def test_nan_passes_to_ros_and_becomes_null_for_json() -> None:
    received = conform("sensor_msgs/JointState", {"position": [1.0, math.nan, math.inf]}, 2, NOW)
    assert math.isnan(received["position"][1])
    assert json.loads(json.dumps(without_nan(received), allow_nan=False))["position"] == [1.0, None, None]
