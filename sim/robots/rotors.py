"""What four rotors add to a robot: the numbers of a quadrotor's equations of motion."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, pi, sqrt
from typing import ClassVar

from sim.robots.robot import Part

GRAVITY = 9.81  # m/s^2
RPM = 2.0 * pi / 60.0  # rad/s in one revolution a minute


@dataclass(frozen=True)
class RotorParameters(Part):
    """One quadrotor. Rotors lie in the body's x-y plane, x forward, y left, z up, and push along +z.

    `mass` kg; `inertia` kg m^2 (principal, body axes); `thrust` (c0, c1, c2) N of one rotor: c0 + c1 u + c2 u^2 with u
    = rotor_speed / max_speed; `torque_per_thrust` m: yaw torque per newton; `rise_time` and `fall_time` s: time
    constants of the first-order rotor lag; `max_speed` rad/s; `rotor_x`, `rotor_y` m; `yaw_sign` -1 or +1 for each
    rotor.
    """

    what: ClassVar[str] = "rotors"

    name: str
    mass: float
    inertia: tuple[float, float, float]
    thrust: tuple[float, float, float]
    torque_per_thrust: float
    rise_time: float
    fall_time: float
    max_speed: float
    rotor_x: tuple[float, float, float, float] = (0.028, -0.028, -0.028, 0.028)
    rotor_y: tuple[float, float, float, float] = (-0.028, -0.028, 0.028, 0.028)
    yaw_sign: tuple[float, float, float, float] = (-1.0, 1.0, -1.0, 1.0)

    def __post_init__(self) -> None:
        for field in ("mass", "torque_per_thrust", "rise_time", "fall_time", "max_speed"):
            if not getattr(self, field) > 0.0:
                raise ValueError(f"{self.name}: {field} must be above 0, got {getattr(self, field)}")
        if not all(j > 0.0 for j in self.inertia):
            raise ValueError(f"{self.name}: every inertia must be above 0, got {self.inertia}")
        if min(self.thrust) < 0.0 or not self.thrust[2] > 0.0:
            raise ValueError(f"{self.name}: thrust needs c0, c1 >= 0 and c2 > 0, got {self.thrust}")
        if self.max_thrust <= self.mass * GRAVITY:
            raise ValueError(f"{self.name}: full thrust {self.max_thrust:.3f} N does not lift {self.mass} kg")

    @property
    def max_thrust(self) -> float:
        """Thrust of all rotors at full speed, N."""
        return 4.0 * sum(self.thrust)

    @property
    def rotor_distance(self) -> float:
        """Distance from the centre to the first rotor, m."""
        return hypot(self.rotor_x[0], self.rotor_y[0])

    @property
    def hover_fraction(self) -> float:
        """Rotor speed at hover as a share of `max_speed`: the positive root of c0 + c1 u + c2 u^2 = m g / 4."""
        c0, c1, c2 = self.thrust
        return (-c1 + sqrt(c1 * c1 - 4.0 * c2 * (c0 - self.mass * GRAVITY / 4.0))) / (2.0 * c2)
