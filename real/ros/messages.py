"""The messages between a flying robot and its host: built and parsed only here.

ROS writes quaternions as x, y, z, w and puts an odometry's twist into the child (body) frame; inside, quaternions are
w, x, y, z and linear velocity is in the world frame. The conversion happens in this file only.
Ref: REP 103, REP 105 and nav_msgs/Odometry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from real.ros.fields import Array as Array
from real.ros.fields import MalformedMessage as MalformedMessage
from real.ros.fields import at, number, quaternion, stamp_of, vector, xyz, xyzw
from real.ros.version import RosVersion, header_message, stamp_message, stamp_nanoseconds

ODOMETRY = "nav_msgs/Odometry"
IMU = "sensor_msgs/Imu"
ACTUATORS = "actuator_msgs/Actuators"
ODOMETRY_FRAME = "world"
"""The frame of the pose in the odometry that we send."""
STATUS = "diagnostic_msgs/DiagnosticArray"
STRING = "std_msgs/String"
POSE = "geometry_msgs/PoseStamped"


@dataclass(frozen=True)
class OdometrySample:
    """Pose and velocity. `stamp` ns on the robot's clock; position [3] m and linear_velocity [3] m/s in the world
    frame; orientation [4] w, x, y, z, body to world, unit; angular_velocity [3] rad/s in the body frame."""

    stamp: int
    position: Array
    orientation: Array
    linear_velocity: Array
    angular_velocity: Array


@dataclass(frozen=True)
class ImuSample:
    """`stamp` ns on the robot's clock; angular_velocity [3] rad/s and linear_acceleration [3] m/s^2 (specific force),
    both in the body frame."""

    stamp: int
    angular_velocity: Array
    linear_acceleration: Array


@dataclass(frozen=True)
class ActuatorSample:
    """A rotor command. `stamp` ns is the echoed stamp of the odometry it was computed from; velocity [n] rad/s, any
    value a float can have: the robot checks it."""

    stamp: int
    writer: str
    sequence: int
    velocity: tuple[float, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """The values that a robot checks."""
        return self.velocity


@dataclass(frozen=True)
class StatusSample:
    """The robot's heartbeat: `stamp` ns, its state in one word, and named values as text."""

    stamp: int
    state: str
    values: dict[str, str]


def rotation_matrix(q: Sequence[float] | Array) -> Array:
    """Rotation matrix [3, 3], body to world, of a unit quaternion w, x, y, z."""
    w, x, y, z = (float(v) for v in q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def odometry_message(sample: OdometrySample, version: RosVersion, sequence: int = 0) -> dict[str, Any]:
    """nav_msgs/Odometry with the twist in the body frame and covariances of zero (unknown)."""
    velocity_b = rotation_matrix(sample.orientation).T @ sample.linear_velocity
    return {
        "header": header_message(sample.stamp, ODOMETRY_FRAME, version, sequence),
        "child_frame_id": "base_link",
        "pose": {
            "pose": {"position": xyz(sample.position), "orientation": xyzw(sample.orientation)},
            "covariance": [0.0] * 36,
        },
        "twist": {
            "twist": {"linear": xyz(velocity_b), "angular": xyz(sample.angular_velocity)},
            "covariance": [0.0] * 36,
        },
    }


def parse_odometry(message: object, version: RosVersion) -> OdometrySample:
    """Read a nav_msgs/Odometry; raises MalformedMessage with a cause."""
    pose, twist = at(message, "pose", "pose"), at(message, "twist", "twist")
    for part in ("pose", "twist"):
        covariance = at(message, part, "covariance")
        if not isinstance(covariance, list):
            raise MalformedMessage("wrong type", f"{part}.covariance is not a list")
        if len(covariance) != 36:
            raise MalformedMessage("wrong length", f"{part}.covariance has {len(covariance)} values, expected 36")
    orientation = quaternion(at(pose, "orientation"))
    velocity_b = vector(at(twist, "linear"), "twist.linear")
    return OdometrySample(
        stamp=stamp_of(message, version),
        position=vector(at(pose, "position"), "position"),
        orientation=orientation,
        linear_velocity=rotation_matrix(orientation) @ velocity_b,
        angular_velocity=vector(at(twist, "angular"), "twist.angular"),
    )


def imu_message(sample: ImuSample, orientation: Array, version: RosVersion, sequence: int = 0) -> dict[str, Any]:
    """sensor_msgs/Imu with covariances of zero (unknown); orientation w, x, y, z."""
    return {
        "header": header_message(sample.stamp, "base_link", version, sequence),
        "orientation": xyzw(orientation),
        "orientation_covariance": [0.0] * 9,
        "angular_velocity": xyz(sample.angular_velocity),
        "angular_velocity_covariance": [0.0] * 9,
        "linear_acceleration": xyz(sample.linear_acceleration),
        "linear_acceleration_covariance": [0.0] * 9,
    }


def parse_imu(message: object, version: RosVersion) -> ImuSample:
    """Read a sensor_msgs/Imu, its orientation left out: raises MalformedMessage with a cause."""
    return ImuSample(
        stamp=stamp_of(message, version),
        angular_velocity=vector(at(message, "angular_velocity"), "angular_velocity"),
        linear_acceleration=vector(at(message, "linear_acceleration"), "linear_acceleration"),
    )


def actuators_message(sample: ActuatorSample, version: RosVersion) -> dict[str, Any]:
    """actuator_msgs/Actuators; frame_id carries "<writer>/<sequence>", because a bridge may drop `seq`."""
    return {
        "header": header_message(sample.stamp, f"{sample.writer}/{sample.sequence}", version, sample.sequence),
        "position": [],
        "velocity": [float(v) for v in sample.velocity],
        "normalized": [],
    }


def parse_actuators(message: object, version: RosVersion) -> ActuatorSample:
    """Read an actuator_msgs/Actuators; raises MalformedMessage with a cause. Values may be non-finite, never null."""
    writer, sequence = sender(message)
    velocity = at(message, "velocity")
    if not isinstance(velocity, list):
        raise MalformedMessage("wrong type", "velocity is not a list")
    values = tuple(number(v, "velocity", finite=False) for v in velocity)
    return ActuatorSample(stamp_of(message, version), writer, sequence, values)


def unstamped(message: object, version: RosVersion) -> bool:
    """Whether a message, or its `info`, has a header whose stamp is zero, as nodes without a clock send it."""
    header = message.get("header") if isinstance(message, Mapping) else None
    if isinstance(header, Mapping):
        return stamp_nanoseconds(header.get("stamp"), version) == 0
    return isinstance(message, Mapping) and unstamped(message.get("info"), version)


def with_stamp(message: object, nanoseconds: int, version: RosVersion) -> object:
    """The message with another stamp in its header, or in that of its `info`; what has neither stays as it is."""
    if not isinstance(message, Mapping):
        return message
    if not isinstance(message.get("header"), Mapping):
        return {**message, "info": with_stamp(message["info"], nanoseconds, version)} if "info" in message else message
    return {**message, "header": {**message["header"], "stamp": stamp_message(nanoseconds, version)}}


def sender(message: object) -> tuple[str, int]:
    """Writer and sequence number of a command, from its frame_id; raises MalformedMessage with a cause."""
    writer, _, count = str(at(message, "header", "frame_id")).rpartition("/")
    if not writer or not count.isascii() or not count.isdigit():
        raise MalformedMessage("wrong type", "header.frame_id is not '<writer>/<sequence>'")
    return writer, int(count)


def status_message(sample: StatusSample, version: RosVersion, level: int = 0) -> dict[str, Any]:
    """diagnostic_msgs/DiagnosticArray with one status, "actuators"; level 0 OK, 1 warning, 2 error."""
    values = [{"key": key, "value": value} for key, value in sample.values.items()]
    status = {"level": level, "name": "actuators", "message": sample.state, "hardware_id": "", "values": values}
    return {"header": header_message(sample.stamp, "", version), "status": [status]}


def parse_status(message: object, version: RosVersion) -> StatusSample:
    """Read a diagnostic_msgs/DiagnosticArray as `status_message` writes it; raises MalformedMessage with a cause."""
    entries = at(message, "status")
    if not isinstance(entries, list) or not entries:
        raise MalformedMessage("wrong length", "status is empty or no list")
    values = at(entries[0], "values")
    if not isinstance(values, list):
        raise MalformedMessage("wrong type", "status.values is not a list")
    pairs = {str(at(pair, "key")): str(at(pair, "value")) for pair in values}
    return StatusSample(stamp_of(message, version), str(at(entries[0], "message")), pairs)


def parse_pose(message: object) -> tuple[str, Array]:
    """Frame and position [3] m of a geometry_msgs/PoseStamped, its orientation left out; raises MalformedMessage."""
    return str(at(message, "header", "frame_id")), vector(at(message, "pose", "position"), "position")


def stop_message(writer: str, request: str) -> dict[str, Any]:
    """std_msgs/String "<writer> <request>" with request "stop", "estop" or "arm"."""
    return {"data": f"{writer} {request}"}


def parse_stop(message: object) -> tuple[str, str]:
    """Writer and request of `stop_message`; raises MalformedMessage with a cause."""
    words = str(at(message, "data")).split(" ")
    if len(words) != 2:
        raise MalformedMessage("wrong length", "expected '<writer> <request>'")
    return words[0], words[1]
