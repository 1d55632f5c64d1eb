"""The messages between a legged robot and its host: built and parsed only here.

Joints are identified by name, in any order. ROS writes quaternions as x, y, z, w; inside they are
w, x, y, z. Ref: sensor_msgs/JointState, sensor_msgs/Imu, geometry_msgs/Twist, REP 103 and REP 145.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from real.ros.fields import Array, MalformedMessage, at, number, quaternion, stamp_of, vector
from real.ros.messages import sender
from real.ros.version import RosVersion, header_message

JOINT_STATE = "sensor_msgs/JointState"
TWIST = "geometry_msgs/Twist"
TWIST_STAMPED = "geometry_msgs/TwistStamped"


@dataclass(frozen=True)
class JointSample:
    """Joints as measured: `stamp` ns on the robot's clock; position rad and velocity rad/s in the order of `names`."""

    stamp: int
    names: tuple[str, ...]
    position: Array
    velocity: Array

    def ordered(self, names: Sequence[str]) -> tuple[Array, Array]:
        """Position and velocity in the order of `names`; MalformedMessage when one of them is missing."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise MalformedMessage("missing joint", ", ".join(missing))
        order = [self.names.index(name) for name in names]
        return self.position[order], self.velocity[order]


@dataclass(frozen=True)
class AttitudeSample:
    """`stamp` ns on the robot's clock; orientation [4] w, x, y, z, body to world, unit; angular_velocity [3] rad/s and
    linear_acceleration [3] m/s^2 (specific force) in the body frame."""

    stamp: int
    orientation: Array
    angular_velocity: Array
    linear_acceleration: Array


@dataclass(frozen=True)
class JointCommand:
    """Joint targets. `stamp` ns is the echoed stamp of the joint state it was computed from; `values` rad in the order
    of `names`, any value a float can have: the robot checks it."""

    stamp: int
    writer: str
    sequence: int
    names: tuple[str, ...]
    values: tuple[float, ...]


def joint_state_message(sample: JointSample, effort: Array, version: RosVersion, sequence: int = 0) -> dict[str, Any]:
    """sensor_msgs/JointState; `effort` Nm in the same order."""
    return {
        "header": header_message(sample.stamp, "", version, sequence),
        "name": list(sample.names),
        "position": sample.position.tolist(),
        "velocity": sample.velocity.tolist(),
        "effort": effort.tolist(),
    }


def parse_joint_state(message: object, version: RosVersion, wanted: Collection[str] | None = None) -> JointSample:
    """Read a sensor_msgs/JointState with positions and velocities; raises MalformedMessage with a cause.

    Only values of the joints `wanted` must be numbers, None for all: the others' are not looked at, and NaN here.
    """
    names = _names(message)
    looked_at = [wanted is None or name in wanted for name in names]

    def values(what: str) -> Array:
        pairs = zip(_list(message, what, len(names)), looked_at, strict=True)
        return np.array([number(value, what) if looked else math.nan for value, looked in pairs])

    position, velocity = values("position"), values("velocity")
    return JointSample(stamp_of(message, version), names, position, velocity)


def joint_command_message(command: JointCommand, version: RosVersion) -> dict[str, Any]:
    """sensor_msgs/JointState with positions; frame_id carries "<writer>/<sequence>"."""
    return {
        "header": header_message(command.stamp, f"{command.writer}/{command.sequence}", version, command.sequence),
        "name": list(command.names),
        "position": [float(v) for v in command.values],
        "velocity": [],
        "effort": [],
    }


def parse_joint_command(message: object, version: RosVersion) -> JointCommand:
    """Read `joint_command_message`; raises MalformedMessage with a cause. Values may be non-finite, never null."""
    writer, sequence = sender(message)
    names = _names(message)
    values = tuple(number(v, "position", finite=False) for v in _list(message, "position", len(names)))
    return JointCommand(stamp_of(message, version), writer, sequence, names, values)


def parse_attitude(message: object, version: RosVersion) -> AttitudeSample:
    """Read a sensor_msgs/Imu with its orientation; raises MalformedMessage with a cause.

    An IMU without orientation says so with -1 as the first covariance.
    """
    covariance = at(message, "orientation_covariance")
    if isinstance(covariance, list) and covariance and covariance[0] == -1.0:
        raise MalformedMessage("no orientation", "orientation_covariance[0] is -1")
    return AttitudeSample(
        stamp=stamp_of(message, version),
        orientation=quaternion(at(message, "orientation")),
        angular_velocity=vector(at(message, "angular_velocity"), "angular_velocity"),
        linear_acceleration=vector(at(message, "linear_acceleration"), "linear_acceleration"),
    )


def parse_twist(message: object) -> Array:
    """[3] forward m/s, left m/s and yaw rad/s of a geometry_msgs/Twist or TwistStamped, whose stamp is not looked at;
    raises MalformedMessage with a cause."""
    if isinstance(message, Mapping) and "twist" in message:
        message = message["twist"]
    linear, angular = vector(at(message, "linear"), "linear"), vector(at(message, "angular"), "angular")
    return np.array([linear[0], linear[1], angular[2]])


def _names(message: object) -> tuple[str, ...]:
    names = at(message, "name")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MalformedMessage("wrong type", "name is not a list of names")
    if len(set(names)) != len(names):
        raise MalformedMessage("joint twice", "name")
    return tuple(names)


def _list(message: object, what: str, length: int) -> list[Any]:
    values = at(message, what)
    if not isinstance(values, list):
        raise MalformedMessage("wrong type", f"{what} is not a list")
    if len(values) != length:
        raise MalformedMessage("wrong length", f"{what} has {len(values)} values for {length} names")
    return values
