"""Where the robot should be: targets in m and m/s, relative to the position at which the flight started."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from policies.errors import UserError
from real.contract.goal import Target

Vector = tuple[float, float, float]
STOPPING = 0.4
"""Time constant in s with which a moving target comes to rest: from 2.5 m/s it brakes with 6 m/s^2 and less."""


class Setpoint(Protocol):
    """A target for every time of a flight."""

    def at(self, t: float) -> Target:
        """The target `t` s after the start, relative to the position at the start."""
        ...

    def largest_jump(self) -> float:
        """The largest sudden change of the target in any axis, in m: it appears as position error at once."""
        ...


@dataclass(frozen=True)
class Hold:
    """Stay where the flight started."""

    def at(self, t: float) -> Target:
        return Target(np.zeros(3), np.zeros(3))

    def largest_jump(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Step:
    """Stay, and jump to `offset` m at `time` s."""

    time: float
    offset: Vector = (0.3, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.time) and self.time >= 0.0):
            raise UserError(f"step time must be at least 0 s, got {self.time}")
        if len(self.offset) != 3 or not all(math.isfinite(v) for v in self.offset):
            raise UserError(f"step offset must be 3 finite numbers in m, got {self.offset}")

    def at(self, t: float) -> Target:
        return Target(np.array(self.offset if t >= self.time else (0.0, 0.0, 0.0), dtype=np.float64), np.zeros(3))

    def largest_jump(self) -> float:
        return max(abs(v) for v in self.offset)


@dataclass(frozen=True)
class TakeOff:
    """Rise `height` m at `rate` m/s, and follow `then` from there."""

    height: float
    then: Setpoint
    rate: float = 0.3

    def __post_init__(self) -> None:
        for name, unit in (("height", "m"), ("rate", "m/s")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise UserError(f"{name} of a take-off must be above 0 {unit}, got {value}")

    @property
    def duration(self) -> float:
        """Time in s until it follows `then`."""
        return self.height / self.rate

    def at(self, t: float) -> Target:
        if t < self.duration:
            return Target(np.array([0.0, 0.0, self.rate * max(t, 0.0)]), np.array([0.0, 0.0, self.rate]))
        target = self.then.at(t - self.duration)
        return Target(target.position + np.array([0.0, 0.0, self.height]), target.velocity)

    def largest_jump(self) -> float:
        return self.then.largest_jump()


@dataclass(frozen=True)
class Lissajous:
    """A figure of eight in the horizontal plane, once in `interval` s, `size` m to each side.

    x = s cos(a), y = s/2 sin(2 a) with a = 2 pi phase + pi/2 (arXiv 2311.13081). It starts in the middle and from rest:
    the phase rate rises to 1/interval over `ramp` s, as in training (sim/quadrotor/figures.py).
    """

    interval: float = 5.5
    size: float = 1.0
    ramp: float = 2.0

    def __post_init__(self) -> None:
        for name, unit in (("interval", "s"), ("size", "m"), ("ramp", "s")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise UserError(f"{name} of a figure must be above 0 {unit}, got {value}")

    def at(self, t: float) -> Target:
        t = max(t, 0.0)
        rising = min(t, self.ramp)
        phase = (0.5 * rising * rising / self.ramp + t - rising) / self.interval
        rate = 2.0 * math.pi * rising / self.ramp / self.interval
        a = 2.0 * math.pi * phase + 0.5 * math.pi
        position = np.array([self.size * math.cos(a), 0.5 * self.size * math.sin(2.0 * a), 0.0])
        velocity = np.array([-self.size * rate * math.sin(a), self.size * rate * math.cos(2.0 * a), 0.0])
        return Target(position, velocity)

    def largest_jump(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Descend:
    """Sink from `start` m at `rate` m/s until `floor` m, and stay there: the target of a landing.

    A target that moved at `velocity` m/s before, level, comes to rest with the time constant STOPPING, since a vehicle
    that flies fast can't stop at once.
    """

    start: Vector
    floor: float
    rate: float = 0.3
    velocity: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0.0):
            raise UserError(f"descent rate must be above 0 m/s, got {self.rate}")

    def at(self, t: float) -> Target:
        x, y, z = self.start
        height = max(z - self.rate * t, min(self.floor, z))
        sinking = 0.0 if height <= self.floor else self.rate
        vx, vy = self.velocity
        left = math.exp(-max(t, 0.0) / STOPPING)
        drift = STOPPING * (1.0 - left)
        return Target(np.array([x + drift * vx, y + drift * vy, height]), np.array([left * vx, left * vy, -sinking]))

    def largest_jump(self) -> float:
        return 0.0


def jump_time(setpoint: Setpoint) -> float | None:
    """When, in s after the start, a setpoint jumps; None for one that does not."""
    if isinstance(setpoint, TakeOff):
        later = jump_time(setpoint.then)
        return None if later is None else setpoint.duration + later
    return setpoint.time if isinstance(setpoint, Step) else None
