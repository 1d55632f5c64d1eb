"""A flying robot behind a rosbridge server: odometry and IMU in, rotor speeds out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.bundle.manifest import Manifest
from real.contract.offer import ANGULAR_VELOCITY, LINEAR_VELOCITY, ORIENTATION, POSITION, Offer, Signal
from real.contract.robot import Array
from real.robots.pairing import Pairing
from real.robots.wire import Taken
from real.ros import messages
from real.ros.fields import MalformedMessage
from real.ros.messages import ImuSample, OdometrySample
from real.ros.topics import FlightTopics
from real.ros.version import RosVersion


class FlightWire:
    """Four rotors by their speeds; the order of the rotors is in docs/connecting-a-robot.md."""

    offer = Offer(
        (POSITION, ORIENTATION, LINEAR_VELOCITY, ANGULAR_VELOCITY),
        (Signal("rotor_speed", 4, "rad/s", "", ("rotor_1", "rotor_2", "rotor_3", "rotor_4")),),
    )
    started_by = "robo-rl robot crazyflie"
    user_goal: tuple[Array, float] | None = None

    def __init__(self, manifest: Manifest, namespace: str, version: RosVersion, tolerance: float) -> None:
        """The bundle's `manifest` is not used: the rotors have one order. The rest as in `MakeWire`."""
        topics = FlightTopics(namespace)
        self._version = version
        self._odometry = topics.odometry
        self.types: Mapping[str, str] = topics.types
        self.subscribed: Mapping[str, str] = {topics.odometry: "odometry", topics.imu: "imu"}
        self.readings: tuple[str, ...] = (topics.odometry, topics.imu)
        self.command, self.status, self.stop = topics.command, topics.status, topics.stop
        self._pairing: Pairing[OdometrySample, ImuSample] = Pairing(tolerance)

    @property
    def apart(self) -> float | None:
        """As `Wire.apart`."""
        return self._pairing.apart

    def take(self, topic: str, message: object, received: float) -> Taken | None:
        """Odometry or an IMU's sample."""
        if topic == self._odometry:
            odometry = messages.parse_odometry(message, self._version)
            if self._pairing.is_late(odometry):
                raise MalformedMessage("out of order", topic)
            return Taken(odometry.stamp, _sensors(self._pairing.add_main(odometry)))
        imu = messages.parse_imu(message, self._version)
        pair = self._pairing.add_imu(imu)
        return None if pair is None else Taken(pair[0].stamp, _sensors(pair))

    def command_message(self, command: Mapping[str, Array], stamp: int, writer: str, sequence: int) -> dict[str, Any]:
        """actuator_msgs/Actuators."""
        velocity = tuple(float(v) for v in np.asarray(command["rotor_speed"]).reshape(-1))
        return messages.actuators_message(messages.ActuatorSample(stamp, writer, sequence, velocity), self._version)


def _sensors(pair: tuple[OdometrySample, ImuSample] | None) -> Mapping[str, Array] | None:
    if pair is None:
        return None
    odometry, imu = pair
    return {
        "position": odometry.position,
        "orientation": odometry.orientation,
        "linear_velocity": odometry.linear_velocity,
        "angular_velocity": imu.angular_velocity,
    }
