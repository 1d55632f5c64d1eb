"""Names and types of the topics between a flying robot and its host; a namespace puts several robots on one bridge."""

from __future__ import annotations

import re
from dataclasses import dataclass

from real.ros.messages import ACTUATORS, IMU, ODOMETRY, STATUS, STRING

_NAMESPACE = re.compile(r"(/[A-Za-z][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class FlightTopics:
    """The topics under `namespace`, such as "/cf1"; empty for none. Raises ValueError for a name ROS does not allow."""

    namespace: str = ""

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ValueError(f"namespace is {self.namespace!r}, expected something like /cf1, or nothing")

    @property
    def odometry(self) -> str:
        return f"{self.namespace}/odom"

    @property
    def imu(self) -> str:
        return f"{self.namespace}/imu"

    @property
    def command(self) -> str:
        return f"{self.namespace}/rotor_command"

    @property
    def status(self) -> str:
        return f"{self.namespace}/robot_status"

    @property
    def stop(self) -> str:
        return f"{self.namespace}/robot_stop"

    @property
    def types(self) -> dict[str, str]:
        """Topic name -> `package/Type`."""
        return {
            self.odometry: ODOMETRY,
            self.imu: IMU,
            self.command: ACTUATORS,
            self.status: STATUS,
            self.stop: STRING,
        }
