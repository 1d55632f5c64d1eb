"""What a driver behind a rosbridge server needs to know of a kind of robot: its topics and its messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from real.contract.robot import Array
from real.robots.pairing import Pairing
from real.ros import messages
from real.ros.fields import MalformedMessage
from real.ros.messages import ImuSample, OdometrySample
from real.ros.topics import FlightTopics
from real.ros.version import RosVersion


class Taken(NamedTuple):
    """What a message gave: its `stamp` in ns on the robot's clock, and the sensors of the reading that it completes."""

    stamp: int
    sensors: Mapping[str, Array] | None


class Wire(Protocol):
    """One kind of robot. Called from one thread at a time."""

    types: Mapping[str, str]
    """Every topic -> `package/Type`."""
    heard: Mapping[str, str]
    """The topics that `take` is given, and what a count of their faults calls each."""
    readings: tuple[str, ...]
    """Those among them without which there is no reading."""
    command: str
    status: str
    stop: str
    started_by: str
    """What starts the simulated robot of this kind."""

    def take(self, topic: str, message: object, received: float) -> Taken | None:
        """Take in a message that came at `received` s of the host's clock; None when it has no part in a reading.

        Raises MalformedMessage, with a cause, for one that can't be used.
        """

    def command_message(self, command: Mapping[str, Array], stamp: int, writer: str, sequence: int) -> dict[str, Any]:
        """The message of a command, computed from the reading of `stamp` ns."""


class FlightWire:
    """A flying robot: odometry and IMU in, rotor speeds out.

    One command, `rotor_speed` [n] rad/s; sensors position, orientation, linear_velocity (world) and angular_velocity
    (body).
    """

    started_by = "robo-rl robot crazyflie"

    def __init__(self, namespace: str, version: RosVersion, tolerance: float) -> None:
        """`tolerance` s is the largest difference between the stamps of two messages that make one reading."""
        topics = FlightTopics(namespace)
        self._version = version
        self._odometry = topics.odometry
        self.types: Mapping[str, str] = topics.types
        self.heard: Mapping[str, str] = {topics.odometry: "odometry", topics.imu: "imu"}
        self.readings: tuple[str, ...] = (topics.odometry, topics.imu)
        self.command, self.status, self.stop = topics.command, topics.status, topics.stop
        self._pairing: Pairing[OdometrySample, ImuSample] = Pairing(tolerance)

    def take(self, topic: str, message: object, received: float) -> Taken | None:
        """Odometry or an IMU's sample."""
        if topic == self._odometry:
            odometry = messages.parse_odometry(message, self._version)
            if self._pairing.is_late(odometry):
                raise MalformedMessage("out of order", topic)
            return Taken(odometry.stamp, _flight_sensors(self._pairing.add_main(odometry)))
        imu = messages.parse_imu(message, self._version)
        pair = self._pairing.add_imu(imu)
        return None if pair is None else Taken(pair[0].stamp, _flight_sensors(pair))

    def command_message(self, command: Mapping[str, Array], stamp: int, writer: str, sequence: int) -> dict[str, Any]:
        """actuator_msgs/Actuators."""
        velocity = tuple(float(v) for v in np.asarray(command["rotor_speed"]).reshape(-1))
        return messages.actuators_message(messages.ActuatorSample(stamp, writer, sequence, velocity), self._version)


def _flight_sensors(pair: tuple[OdometrySample, ImuSample] | None) -> Mapping[str, Array] | None:
    if pair is None:
        return None
    odometry, imu = pair
    return {
        "position": odometry.position,
        "orientation": odometry.orientation,
        "linear_velocity": odometry.linear_velocity,
        "angular_velocity": imu.angular_velocity,
    }
