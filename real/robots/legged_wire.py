"""A legged robot behind a rosbridge server: joint states and IMU in, joint targets out, joints by name throughout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.bundle.manifest import Manifest
from real.contract.offer import (
    ANGULAR_VELOCITY,
    JOINT_COMMAND,
    JOINT_POSITION,
    JOINT_TARGET,
    JOINT_VELOCITY,
    LINEAR_ACCELERATION,
    ORIENTATION,
    Offer,
)
from real.contract.robot import Array
from real.robots.pairing import Pairing
from real.robots.wire import Taken
from real.ros import legged_messages as messages
from real.ros.fields import MalformedMessage
from real.ros.legged_messages import AttitudeSample, JointCommand, JointSample
from real.ros.topics import LeggedTopics
from real.ros.version import RosVersion
from real.safety.envelope import sensor_labels


class LeggedWire:
    """Joints by name: in the order of the labels that the bundle gives each sensor and command."""

    offer = Offer((ORIENTATION, ANGULAR_VELOCITY, LINEAR_ACCELERATION, JOINT_POSITION, JOINT_VELOCITY), (JOINT_TARGET,))
    started_by = "robo-rl robot go1"

    def __init__(self, manifest: Manifest, namespace: str, version: RosVersion, tolerance: float) -> None:
        """`manifest` gives the joints and their order; the rest as in `MakeWire`."""
        topics = LeggedTopics(namespace)
        self._version = version
        self._topics = topics
        self.types: Mapping[str, str] = topics.types
        self.subscribed: Mapping[str, str] = {topics.joints: "joints", topics.imu: "imu", topics.velocity: "cmd_vel"}
        self.readings: tuple[str, ...] = (topics.joints, topics.imu)
        self.command, self.status, self.stop = topics.command, topics.status, topics.stop
        self.user_goal: tuple[Array, float] | None = None
        """The newest /cmd_vel, [3] forward m/s, left m/s, yaw rad/s, and when it came in s of the host's clock."""
        self._labels = next(c.labels for c in manifest.commands if c.name == JOINT_COMMAND)
        self._position = sensor_labels(manifest, "joint_position")
        self._velocity = sensor_labels(manifest, "joint_velocity")
        self._wanted = frozenset((*self._position, *self._velocity))
        self._pairing: Pairing[JointSample, AttitudeSample] = Pairing(tolerance)

    @property
    def apart(self) -> float | None:
        """As `Wire.apart`."""
        return self._pairing.apart

    def take(self, topic: str, message: object, received: float) -> Taken | None:
        """Joint states, an IMU's sample, or a velocity command."""
        if topic == self._topics.velocity:
            self.user_goal = messages.parse_twist(message), received
            return None
        if topic == self._topics.joints:
            joints = messages.parse_joint_state(message, self._version, self._wanted)
            joints.ordered(self._position)  # Refuses a message without all the joints before it is paired.
            if self._pairing.is_late(joints):
                raise MalformedMessage("out of order", topic)
            return Taken(joints.stamp, self._sensors(self._pairing.add_main(joints)))
        pair = self._pairing.add_imu(messages.parse_attitude(message, self._version))
        return None if pair is None else Taken(pair[0].stamp, self._sensors(pair))

    def command_message(self, command: Mapping[str, Array], stamp: int, writer: str, sequence: int) -> dict[str, Any]:
        """sensor_msgs/JointState with positions."""
        values = tuple(float(v) for v in np.asarray(command[JOINT_COMMAND]).reshape(-1))
        return messages.joint_command_message(
            JointCommand(stamp, writer, sequence, self._labels, values), self._version
        )

    def _sensors(self, pair: tuple[JointSample, AttitudeSample] | None) -> Mapping[str, Array] | None:
        if pair is None:
            return None
        joints, imu = pair
        return {
            "orientation": imu.orientation,
            "angular_velocity": imu.angular_velocity,
            "linear_acceleration": imu.linear_acceleration,
            "joint_position": joints.ordered(self._position)[0],
            "joint_velocity": joints.ordered(self._velocity)[1],
        }
