"""Settings of a simulated legged robot, checked when built."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policies.errors import UserError
from real.ros.connection import RosbridgeConnection
from real.simulated.course import kind_and_level

MOTOR_RATE = 500
"""Rate of the motor loop in Hz."""
MAP_RATE = 10.0
"""Rate in Hz of elevation maps for a policy that reads a height scan."""


@dataclass(frozen=True)
class RobotSettings(RosbridgeConnection):
    """A legged robot in real time behind a rosbridge server. Raises UserError, in one line, for a bad setting."""

    seed: int = 0
    """Seed of the sensor noise."""
    noise: float = 1.0
    """Sensor noise as a multiple of the usual one; 0 is none."""
    sensor_rate: float = 250.0
    """Joint states and IMU samples a second; 500 divided by a whole number."""
    watchdog: float = 0.2
    """Time in s without an accepted command after which the robot damps its joints by itself."""
    stiffness_scale: float = 1.0
    """Stiffness of the motors as a multiple of the robot's usual one; the status reports it."""
    damping_scale: float = 1.0
    """Damping of the motors as a multiple of the robot's usual one."""
    passive_damping: float = 2.0
    """Damping in Nm s/rad of a robot that damps its joints, without any stiffness."""
    push: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """A push, as a sudden change of the base's velocity in m/s along the world's axes."""
    push_at: float = 0.0
    """When the push comes, in s after the first accepted command; 0 for none."""
    gantry: float = 3.5
    """Time in s after the first accepted command for which a gantry holds a robot that can't lie down, such as h1."""
    terrain: str = ""
    """Ground to walk on, KIND:LEVEL such as stairs_up:3, of the kinds and levels of rough tasks; empty: flat."""
    elevation_rate: float = 0.0
    """Rate in Hz of true elevation maps on /elevation_map, sent with the true pose on /odom; 0: neither."""
    log: str = ""
    """JSON-lines file of every command, rejection and change of state, and of the true state; empty writes none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("noise", "push_at", "gantry"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name)}, expected at least 0")
        if not 0.0 <= self.elevation_rate <= 50.0:
            raise UserError(f"elevation_rate is {self.elevation_rate}, expected 0 to 50 Hz")
        if self.terrain:
            kind_and_level(self.terrain)
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected at least 0")
        steps = MOTOR_RATE / self.sensor_rate if self.sensor_rate > 0.0 else 0.0
        if not (1.0 <= steps <= 25.0 and steps == round(steps)):
            raise UserError(f"sensor_rate is {self.sensor_rate}, expected 20 to 500 Hz, 500 divided by a whole number")
        if not 0.02 <= self.watchdog <= 1.0:
            raise UserError(f"watchdog is {self.watchdog} s, expected 0.02 to 1")
        for name in ("stiffness_scale", "damping_scale", "passive_damping"):
            if not 0.0 < getattr(self, name) <= 10.0:
                raise UserError(f"{name} is {getattr(self, name)}, expected above 0 and up to 10")
        if not all(abs(v) <= 10.0 for v in self.push):
            raise UserError(f"push is {self.push}, expected three velocities of at most 10 m/s")
