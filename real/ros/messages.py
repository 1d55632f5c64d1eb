"""The messages between a flying robot and its host: built and parsed here and nowhere else.

ROS writes quaternions as x, y, z, w and puts an odometry's twist into the child (body) frame; inside, quaternions are
w, x, y, z and linear velocity is in the world frame. The conversion happens in this file only.
Ref: REP 103, REP 105 and nav_msgs/Odometry.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from real.ros.version import RosVersion, header_message, stamp_nanoseconds

Array = NDArray[np.float64]

ODOMETRY = "nav_msgs/Odometry"
IMU = "sensor_msgs/Imu"
ACTUATORS = "actuator_msgs/Actuators"
STATUS = "diagnostic_msgs/DiagnosticArray"
STRING = "std_msgs/String"

_UNIT_TOLERANCE = 0.02  # A healthy estimator reports a unit quaternion; its noise stays far below this.


class MalformedMessage(ValueError):
    """A message that can't be used. `cause` is one of a few fixed words, so that causes can be counted."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause


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
    value a float can have: whoever drives rotors checks it."""

    stamp: int
    writer: str
    sequence: int
    velocity: tuple[float, ...]


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
        "header": header_message(sample.stamp, "world", version, sequence),
        "child_frame_id": "base_link",
        "pose": {
            "pose": {"position": _xyz(sample.position), "orientation": _xyzw(sample.orientation)},
            "covariance": [0.0] * 36,
        },
        "twist": {
            "twist": {"linear": _xyz(velocity_b), "angular": _xyz(sample.angular_velocity)},
            "covariance": [0.0] * 36,
        },
    }


def parse_odometry(message: object, version: RosVersion) -> OdometrySample:
    """Read a nav_msgs/Odometry; raises MalformedMessage with a cause."""
    pose, twist = _at(message, "pose", "pose"), _at(message, "twist", "twist")
    for part in ("pose", "twist"):
        covariance = _at(message, part, "covariance")
        if not isinstance(covariance, list):
            raise MalformedMessage("wrong type", f"{part}.covariance is no list")
        if len(covariance) != 36:
            raise MalformedMessage("wrong length", f"{part}.covariance has {len(covariance)} values, expected 36")
    orientation = _orientation(_at(pose, "orientation"))
    velocity_b = _vector(_at(twist, "linear"), "twist.linear")
    return OdometrySample(
        stamp=_stamp(message, version),
        position=_vector(_at(pose, "position"), "position"),
        orientation=orientation,
        linear_velocity=rotation_matrix(orientation) @ velocity_b,
        angular_velocity=_vector(_at(twist, "angular"), "twist.angular"),
    )


def imu_message(sample: ImuSample, orientation: Array, version: RosVersion, sequence: int = 0) -> dict[str, Any]:
    """sensor_msgs/Imu with covariances of zero (unknown); orientation w, x, y, z."""
    return {
        "header": header_message(sample.stamp, "base_link", version, sequence),
        "orientation": _xyzw(orientation),
        "orientation_covariance": [0.0] * 9,
        "angular_velocity": _xyz(sample.angular_velocity),
        "angular_velocity_covariance": [0.0] * 9,
        "linear_acceleration": _xyz(sample.linear_acceleration),
        "linear_acceleration_covariance": [0.0] * 9,
    }


def parse_imu(message: object, version: RosVersion) -> ImuSample:
    """Read a sensor_msgs/Imu, its orientation left out: raises MalformedMessage with a cause."""
    return ImuSample(
        stamp=_stamp(message, version),
        angular_velocity=_vector(_at(message, "angular_velocity"), "angular_velocity"),
        linear_acceleration=_vector(_at(message, "linear_acceleration"), "linear_acceleration"),
    )


def actuators_message(sample: ActuatorSample, version: RosVersion) -> dict[str, Any]:
    """actuator_msgs/Actuators; frame_id carries "<writer>/<sequence>", since a bridge can't be trusted with `seq`."""
    return {
        "header": header_message(sample.stamp, f"{sample.writer}/{sample.sequence}", version, sample.sequence),
        "position": [],
        "velocity": [float(v) for v in sample.velocity],
        "normalized": [],
    }


def parse_actuators(message: object, version: RosVersion) -> ActuatorSample:
    """Read an actuator_msgs/Actuators; raises MalformedMessage with a cause. Values may be non-finite, never null."""
    writer, _, number = str(_at(message, "header", "frame_id")).rpartition("/")
    if not writer or not number.isascii() or not number.isdigit():
        raise MalformedMessage("wrong type", "header.frame_id is not '<writer>/<sequence>'")
    velocity = _at(message, "velocity")
    if not isinstance(velocity, list):
        raise MalformedMessage("wrong type", "velocity is no list")
    values = tuple(_number(v, "velocity", finite=False) for v in velocity)
    return ActuatorSample(_stamp(message, version), writer, int(number), values)


def status_message(sample: StatusSample, version: RosVersion, level: int = 0) -> dict[str, Any]:
    """diagnostic_msgs/DiagnosticArray with one status, "rotors"; level 0 OK, 1 warning, 2 error."""
    values = [{"key": key, "value": value} for key, value in sample.values.items()]
    status = {"level": level, "name": "rotors", "message": sample.state, "hardware_id": "", "values": values}
    return {"header": header_message(sample.stamp, "", version), "status": [status]}


def parse_status(message: object, version: RosVersion) -> StatusSample:
    """Read a diagnostic_msgs/DiagnosticArray as `status_message` writes it; raises MalformedMessage with a cause."""
    entries = _at(message, "status")
    if not isinstance(entries, list) or not entries:
        raise MalformedMessage("wrong length", "status is empty or no list")
    values = _at(entries[0], "values")
    if not isinstance(values, list):
        raise MalformedMessage("wrong type", "status.values is no list")
    pairs = {str(_at(pair, "key")): str(_at(pair, "value")) for pair in values}
    return StatusSample(_stamp(message, version), str(_at(entries[0], "message")), pairs)


def stop_message(writer: str, request: str) -> dict[str, Any]:
    """std_msgs/String "<writer> <request>" with request "stop", "estop" or "arm"."""
    return {"data": f"{writer} {request}"}


def parse_stop(message: object) -> tuple[str, str]:
    """Writer and request of `stop_message`; raises MalformedMessage with a cause."""
    words = str(_at(message, "data")).split(" ")
    if len(words) != 2:
        raise MalformedMessage("wrong length", "expected '<writer> <request>'")
    return words[0], words[1]


def _xyz(v: Array) -> dict[str, float]:
    return {"x": float(v[0]), "y": float(v[1]), "z": float(v[2])}


def _xyzw(q: Array) -> dict[str, float]:
    return {"x": float(q[1]), "y": float(q[2]), "z": float(q[3]), "w": float(q[0])}


def _at(message: object, *path: str) -> object:
    value = message
    for name in path:
        if not isinstance(value, Mapping):
            raise MalformedMessage("null" if value is None else "wrong type", f"{'.'.join(path)}: no object there")
        if name not in value:
            raise MalformedMessage("missing field", ".".join(path))
        value = value[name]
    return value


def _number(value: object, what: str, finite: bool = True) -> float:
    if value is None:
        raise MalformedMessage("null", what)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedMessage("wrong type", f"{what} is {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:  # JSON knows integers beyond any float.
        number = math.inf
    if finite and not math.isfinite(number):
        raise MalformedMessage("non-finite", what)
    return number


def _vector(value: object, what: str) -> Array:
    if isinstance(value, list):
        raise MalformedMessage("wrong type", f"{what} is a list")
    return np.array([_number(_at(value, axis), f"{what}.{axis}") for axis in "xyz"])


def _orientation(value: object) -> Array:
    q = np.array([_number(_at(value, axis), f"orientation.{axis}") for axis in "wxyz"])
    norm = float(np.linalg.norm(q))
    if abs(norm - 1.0) > _UNIT_TOLERANCE:
        raise MalformedMessage("not unit", f"orientation has norm {norm:.3g}")
    return q / norm


def _stamp(message: object, version: RosVersion) -> int:
    stamp = stamp_nanoseconds(_at(message, "header", "stamp"), version)
    if stamp is None:
        raise MalformedMessage("bad stamp", "header.stamp")
    return stamp
