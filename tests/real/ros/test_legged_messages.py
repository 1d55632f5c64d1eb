"""Messages of legged robots: joints by name whatever the order, quaternions converted, and a cause for what is bad."""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.ros import legged_messages as legged
from real.ros import messages
from real.ros.conform import conform
from real.ros.fields import MalformedMessage
from real.ros.legged_messages import JointCommand, JointSample

NAMES = ("hip", "knee", "ankle")
SAMPLE = JointSample(1_500_000_001, NAMES, np.array([0.1, -0.2, 0.3]), np.array([1.0, 2.0, 3.0]))
TWIST = {"linear": {"x": 1.0, "y": 2.0, "z": 0.0}, "angular": {"x": 0.0, "y": 0.0, "z": 3.0}}


@given(st.permutations(range(3)))
def test_joints_are_read_by_name_in_any_order(order: list[int]) -> None:
    message = legged.joint_state_message(SAMPLE, np.zeros(3), 2)
    for key in ("name", "position", "velocity"):
        message[key] = [message[key][i] for i in order]
    sample = legged.parse_joint_state(message, 2)
    position, velocity = sample.ordered(("ankle", "hip"))
    assert position.tolist() == [0.3, 0.1]
    assert velocity.tolist() == [3.0, 1.0]


@pytest.mark.parametrize("version", [1, 2])
def test_a_ros_server_takes_the_messages_as_they_are(version: Literal[1, 2]) -> None:
    state = legged.joint_state_message(SAMPLE, np.zeros(3), version, 7)
    command = legged.joint_command_message(JointCommand(5, "us", 3, NAMES, (0.1, 0.2, 0.3)), version)
    for kind, message in (
        (legged.JOINT_STATE, state), (legged.JOINT_STATE, command), (legged.TWIST, TWIST),
    ):  # fmt: skip
        conform(kind, message, version, 0)
    assert legged.parse_joint_command(command, version) == JointCommand(5, "us", 3, NAMES, (0.1, 0.2, 0.3))
    assert legged.parse_twist(TWIST).tolist() == [1.0, 2.0, 3.0]


def test_the_quaternion_is_x_y_z_w_on_the_wire_and_w_x_y_z_inside() -> None:
    half = math.sqrt(0.5)
    sample = messages.ImuSample(9, np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 9.81]))
    message = messages.imu_message(sample, np.array([half, 0.0, 0.0, half]), 2)
    assert message["orientation"] == {"x": 0.0, "y": 0.0, "z": half, "w": half}
    read = legged.parse_attitude(message, 2)
    assert read.orientation == pytest.approx([half, 0.0, 0.0, half])
    assert read.angular_velocity.tolist() == [1.0, 2.0, 3.0]
    message["orientation_covariance"][0] = -1.0
    with pytest.raises(MalformedMessage, match="no orientation"):
        legged.parse_attitude(message, 2)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"name": ["hip", "hip", "knee"]}, "joint twice"),
        ({"name": "hip"}, "wrong type"),
        ({"position": [0.0, 1.0]}, "wrong length"),
        ({"velocity": []}, "wrong length"),
        ({"position": [0.0, None, 1.0]}, "null"),
        ({"position": [0.0, math.nan, 1.0]}, "non-finite"),
        ({"velocity": [0.0, "fast", 1.0]}, "wrong type"),
        ({"header": {}}, "missing field"),
    ],
)
def test_a_bad_joint_state_has_a_cause(change: dict[str, Any], cause: str) -> None:
    message = {**copy.deepcopy(legged.joint_state_message(SAMPLE, np.zeros(3), 2)), **change}
    with pytest.raises(MalformedMessage) as caught:
        legged.parse_joint_state(message, 2)
    assert caught.value.cause == cause


def test_a_missing_joint_is_named() -> None:
    with pytest.raises(MalformedMessage, match="missing joint: tail"):
        SAMPLE.ordered(("hip", "tail"))


def test_only_the_joints_that_are_asked_for_must_be_numbers() -> None:
    message = legged.joint_state_message(SAMPLE, np.zeros(3), 2)
    message["position"][1], message["velocity"][1] = None, math.nan
    sample = legged.parse_joint_state(message, 2, ("ankle", "hip"))
    position, velocity = sample.ordered(("ankle", "hip"))
    assert (position.tolist(), velocity.tolist()) == ([0.3, 0.1], [3.0, 1.0])
    with pytest.raises(MalformedMessage, match="null"):
        legged.parse_joint_state(message, 2, NAMES)


@pytest.mark.parametrize("version", [1, 2])
def test_a_stamped_twist_is_a_twist(version: Literal[1, 2]) -> None:
    stamped = conform(legged.TWIST_STAMPED, {"twist": TWIST}, version, 5)
    assert legged.parse_twist(stamped).tolist() == legged.parse_twist(TWIST).tolist()
    with pytest.raises(MalformedMessage, match="linear"):
        legged.parse_twist({"header": {}, "twist": {}})


@pytest.mark.parametrize("version", [1, 2])
def test_a_message_without_a_stamp_is_known_and_gets_one(version: Literal[1, 2]) -> None:
    unset = legged.joint_state_message(JointSample(0, NAMES, np.zeros(3), np.zeros(3)), np.zeros(3), version)
    assert messages.unstamped(unset, version)
    arrived = messages.with_stamp(unset, 1_234_567_890_123, version)
    assert not messages.unstamped(arrived, version)
    assert legged.parse_joint_state(arrived, version).stamp == 1_234_567_890_123
    assert messages.unstamped(unset, version)
    others: list[Any] = [None, [], {}, {"header": 3}, TWIST]
    for other in others:
        assert not messages.unstamped(other, version)
        assert messages.with_stamp(other, 5, version) == other
