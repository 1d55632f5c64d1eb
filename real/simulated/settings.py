"""Settings of the simulated Crazyflie, checked when built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from real.robots.rosbridge import RosbridgeSettings
from real.ros.version import RosVersion


@dataclass(frozen=True)
class CrazyflieSettings:
    """A quadrotor in real time behind a rosbridge server. Raises ValueError, in one line, for a bad setting."""

    url: str = "ws://127.0.0.1:9090"
    """Address of the rosbridge server, ws:// or wss://."""
    token: str = ""
    """Sent as `Authorization: Bearer <token>`; `@FILE` reads it from a file."""
    ca_file: str = ""
    """PEM file with the certificates to trust for wss://."""
    ros_version: RosVersion = 2
    """ROS version behind the server: how types are spelled and which fields a stamp has."""
    namespace: str = ""
    """Prefix of the robot's topics, such as /cf1."""
    parameters: Literal["crazyflie", "crazyflie-2025"] = "crazyflie-2025"
    """Which quadrotor to simulate, by the names of sim.physics.rotor.parameters."""
    seed: int = 0
    """Seed of the sensor noise."""
    noise: float = 1.0
    """Sensor noise as a multiple of the published one; 0 is none."""
    start: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Where it begins, in m in the world frame, held by its onboard controller; the ground is at height 0."""
    log: str = ""
    """JSON-lines file of every command, rejection, change of state and rotor speed applied; empty writes none."""

    def __post_init__(self) -> None:
        RosbridgeSettings(self.url, self.token, self.ca_file, self.ros_version, self.namespace)
        if not 0.0 <= self.noise < math.inf:
            raise ValueError(f"noise is {self.noise}, expected at least 0")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected at least 0")
        if not all(math.isfinite(v) for v in self.start) or self.start[2] < 0.05:
            raise ValueError(f"start is {self.start}, expected finite values and a height of at least 0.05 m")
