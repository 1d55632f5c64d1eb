"""What driven wheels add to a robot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from policies.errors import UserError
from sim.robots.robot import Motor, Part, Robot


@dataclass(frozen=True)
class Wheels(Part):
    """Speed-controlled wheels on both sides of a robot that turns by their difference; commands in rad/s."""

    what: ClassVar[str] = "wheels"

    left: tuple[str, ...]
    """Wheel joints of the left side, whose positive speed drives forward."""
    right: tuple[str, ...]
    radius: float
    """m."""
    track: float
    """Distance of the left wheels from the right ones, m."""
    damping: float
    """Gain of the speed control, Nm s/rad."""
    torque_limit: float
    """Nm."""

    @property
    def motors(self) -> tuple[Motor, ...]:
        return tuple(
            Motor(joint, 0.0, self.damping, self.torque_limit, "velocity") for joint in (*self.left, *self.right)
        )

    def speeds(self, forward: float, yaw_rate: float) -> tuple[float, ...]:
        """Speeds in rad/s of all wheels for a robot that goes `forward` m/s and turns left at `yaw_rate` rad/s."""
        turn = 0.5 * self.track * yaw_rate
        left, right = (forward - turn) / self.radius, (forward + turn) / self.radius
        return (left,) * len(self.left) + (right,) * len(self.right)

    def check(self, robot: Robot) -> None:
        if not self.left or not self.right:
            raise UserError(f"robot {robot.name}: wheels must name a joint on each side")
        for field in ("radius", "track", "damping", "torque_limit"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0.0):
                raise UserError(f"robot {robot.name}: {field} of the wheels must be above 0 and finite, got {value}")
