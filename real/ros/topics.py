"""Names and types of the topics between a robot and its host; a namespace puts several robots on one bridge."""

from __future__ import annotations

import re
from dataclasses import dataclass

from policies.errors import UserError
from real.ros.elevation_messages import GRID_MAP
from real.ros.legged_messages import JOINT_STATE, TWIST
from real.ros.messages import ACTUATORS, IMU, ODOMETRY, POSE, STATUS, STRING

_NAMESPACE = re.compile(r"(/[A-Za-z][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class Topics:
    """The topics of every robot under `namespace`, such as "/cf1"; empty for none. UserError for a name ROS refuses."""

    namespace: str = ""

    def __post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise UserError(f"namespace is {self.namespace!r}, expected something like /cf1, or nothing")

    @property
    def status(self) -> str:
        return f"{self.namespace}/robot_status"

    @property
    def stop(self) -> str:
        return f"{self.namespace}/robot_stop"


@dataclass(frozen=True)
class FlightTopics(Topics):
    """The topics of a flying robot."""

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
    def types(self) -> dict[str, str]:
        """Topic name -> `package/Type`."""
        return {
            self.odometry: ODOMETRY,
            self.imu: IMU,
            self.command: ACTUATORS,
            self.status: STATUS,
            self.stop: STRING,
        }


@dataclass(frozen=True)
class LeggedTopics(Topics):
    """The topics of a legged robot."""

    @property
    def joints(self) -> str:
        return f"{self.namespace}/joint_states"

    @property
    def imu(self) -> str:
        return f"{self.namespace}/imu/data"

    @property
    def command(self) -> str:
        return f"{self.namespace}/joint_command"

    @property
    def odometry(self) -> str:
        """The base's pose in the frame of the elevation map, from a robot that has such a map."""
        return f"{self.namespace}/odom"

    @property
    def elevation(self) -> str:
        """The elevation map of a simulated robot."""
        return f"{self.namespace}/elevation_map"

    @property
    def velocity(self) -> str:
        """Velocity commands of a person or a planner, which the host reads, not the robot."""
        return f"{self.namespace}/cmd_vel"

    @property
    def types(self) -> dict[str, str]:
        """Topic name -> `package/Type`."""
        return {
            self.joints: JOINT_STATE,
            self.imu: IMU,
            self.command: JOINT_STATE,
            self.velocity: TWIST,
            self.odometry: ODOMETRY,
            self.elevation: GRID_MAP,
            self.status: STATUS,
            self.stop: STRING,
        }


@dataclass(frozen=True)
class CompanionTopics(Topics):
    """The topics of a flying robot that runs its policy itself, as its host shows it on a bridge."""

    @property
    def odometry(self) -> str:
        return f"{self.namespace}/odom"

    @property
    def setpoint(self) -> str:
        """Setpoints of a person or a planner, which the host reads, not the robot."""
        return f"{self.namespace}/setpoint_pose"

    @property
    def types(self) -> dict[str, str]:
        """Topic name -> `package/Type`."""
        return {self.odometry: ODOMETRY, self.setpoint: POSE, self.status: STATUS, self.stop: STRING}
