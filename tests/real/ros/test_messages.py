"""Messages: frames, quaternion order and stamps survive, and whatever is malformed has a cause."""

from __future__ import annotations

import copy
import json
import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.ros import messages
from real.ros.messages import ActuatorSample, MalformedMessage, OdometrySample, StatusSample
from real.ros.version import header_message, plain_type, stamp_message, stamp_nanoseconds, type_name

VERSIONS: tuple[Literal[1], Literal[2]] = (1, 2)
numbers = st.floats(-100.0, 100.0)
vectors = st.tuples(numbers, numbers, numbers).map(np.array)
quaternions = (
    st.tuples(*[st.floats(-1.0, 1.0)] * 4)
    .map(np.array)
    .filter(lambda q: bool(np.linalg.norm(q) > 0.1))
    .map(lambda q: q / float(np.linalg.norm(q)))
)
stamps = st.integers(0, 2**32 * 10**9 - 1)


def odometry(**changes: Any) -> OdometrySample:
    values: dict[str, Any] = {
        "stamp": 5,
        "position": np.array([1.0, 2.0, 3.0]),
        "orientation": np.array([1.0, 0.0, 0.0, 0.0]),
        "linear_velocity": np.array([0.1, 0.2, 0.3]),
        "angular_velocity": np.array([0.4, 0.5, 0.6]),
    }
    return OdometrySample(**{**values, **changes})


@given(stamps, vectors, quaternions, vectors, vectors, st.sampled_from(VERSIONS))
def test_odometry_survives_json(
    stamp: int, position: Any, orientation: Any, velocity: Any, rates: Any, version: Literal[1, 2]
) -> None:
    sent = OdometrySample(stamp, position, orientation, velocity, rates)
    message = json.loads(json.dumps(messages.odometry_message(sent, version)))
    received = messages.parse_odometry(message, version)
    assert received.stamp == stamp
    for name in ("position", "orientation", "linear_velocity", "angular_velocity"):
        np.testing.assert_allclose(getattr(received, name), getattr(sent, name), atol=1e-9, err_msg=name)


def test_twist_is_in_the_body_frame_and_quaternions_are_xyzw() -> None:
    quarter_turn_left = np.array([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])
    sample = odometry(orientation=quarter_turn_left, linear_velocity=np.array([1.0, 0.0, 0.0]))
    message = messages.odometry_message(sample, 2)
    assert message["pose"]["pose"]["orientation"] == pytest.approx(
        {"x": 0.0, "y": 0.0, "z": math.sqrt(0.5), "w": math.sqrt(0.5)}
    )
    # Looking along world y, the vehicle moves to its right, which is body -y.
    assert message["twist"]["twist"]["linear"] == pytest.approx({"x": 0.0, "y": -1.0, "z": 0.0}, abs=1e-12)


@pytest.mark.parametrize(
    ("path", "value", "cause"),
    [
        (("pose", "pose", "position", "x"), None, "null"),
        (("pose", "pose", "position", "x"), math.nan, "non-finite"),
        (("pose", "pose", "position", "x"), 10**400, "non-finite"),
        (("pose", "pose", "position", "x"), "1.0", "wrong type"),
        (("pose", "pose", "position", "x"), True, "wrong type"),
        (("pose", "pose", "position"), [1.0, 2.0, 3.0], "wrong type"),
        (("pose", "pose", "position"), None, "null"),
        (("pose", "pose", "orientation", "w"), 0.5, "not unit"),
        (("pose", "covariance"), [0.0] * 35, "wrong length"),
        (("twist", "twist", "linear"), {"x": 0.0, "y": 0.0}, "missing field"),
        (("twist",), "fast", "wrong type"),
        (("header", "stamp"), {"sec": 1}, "bad stamp"),
        (("header", "stamp"), {"sec": 1, "nanosec": 10**9}, "bad stamp"),
        (("header", "stamp"), {"sec": -1, "nanosec": 0}, "bad stamp"),
    ],
)
def test_malformed_odometry_has_a_cause(path: tuple[str, ...], value: object, cause: str) -> None:
    message = copy.deepcopy(messages.odometry_message(odometry(), 2))
    place = message
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(MalformedMessage) as raised:
        messages.parse_odometry(message, 2)
    assert raised.value.cause == cause


@pytest.mark.parametrize("message", [None, 3, [], {}, "odometry", {"header": None}])
@pytest.mark.parametrize(
    "parse", [messages.parse_odometry, messages.parse_imu, messages.parse_actuators, messages.parse_status]
)
def test_no_json_value_gets_through_a_parser(parse: Any, message: object) -> None:
    with pytest.raises(MalformedMessage):
        parse(message, 2)


@given(stamps, st.lists(st.floats(allow_nan=False), max_size=6), st.integers(0, 10**9), st.sampled_from(VERSIONS))
def test_actuators_carry_writer_sequence_and_stamp(
    stamp: int, velocity: list[float], sequence: int, version: Literal[1, 2]
) -> None:
    sent = ActuatorSample(stamp, "crazyflie-0a1b", sequence, tuple(velocity))
    assert messages.parse_actuators(json.loads(json.dumps(messages.actuators_message(sent, version))), version) == sent


@pytest.mark.parametrize("frame", ["", "writer", "/3", "writer/", "writer/x", "writer/-1", "writer/²"])
def test_actuators_without_a_writer_and_number_are_refused(frame: str) -> None:
    message = messages.actuators_message(ActuatorSample(0, "w", 0, (1.0,)), 2)
    message["header"]["frame_id"] = frame
    with pytest.raises(MalformedMessage):
        messages.parse_actuators(message, 2)


def test_status_survives() -> None:
    sent = StatusSample(7, "flying", {"owner": "a", "rejected": "3"})
    assert messages.parse_status(messages.status_message(sent, 2), 2) == sent


@given(stamps, st.sampled_from(VERSIONS))
def test_stamps_survive(stamp: int, version: Literal[1, 2]) -> None:
    assert stamp_nanoseconds(stamp_message(stamp, version), version) == stamp


def test_versions_differ_in_names_and_fields() -> None:
    assert type_name("nav_msgs/Odometry", 1) == "nav_msgs/Odometry"
    assert type_name("nav_msgs/Odometry", 2) == "nav_msgs/msg/Odometry"
    assert plain_type("nav_msgs/msg/Odometry", 2) == plain_type("nav_msgs/Odometry", 2) == "nav_msgs/Odometry"
    assert plain_type("nav_msgs/msg/Odometry", 1) == ""
    assert header_message(1, "a", 1, 9) == {"stamp": {"secs": 0, "nsecs": 1}, "frame_id": "a", "seq": 9}
    assert header_message(1, "a", 2, 9) == {"stamp": {"sec": 0, "nanosec": 1}, "frame_id": "a"}
