"""How a legged robot should walk: velocity commands from a program or from /cmd_vel, within limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from policies.errors import UserError
from real.contract.robot import Array

VELOCITY_COMMAND = "velocity_command"
CMD_VEL_TIMEOUT = 0.5
"""Age in s beyond which a velocity command from /cmd_vel counts as zero."""
HEADING_GAIN = 2.0
"""Yaw rate in rad/s for each rad of heading error, in a program that holds its heading."""
STOPPING = np.zeros(3)


@dataclass(frozen=True)
class Velocity:
    """A velocity command [3]: forward m/s, left m/s and yaw rad/s, in the body's frame."""

    velocity: Array

    @property
    def sensors(self) -> Mapping[str, Array]:
        """The command as the sensor of a policy."""
        return {VELOCITY_COMMAND: self.velocity}


class VelocitySource(Protocol):
    """Where the velocity command comes from."""

    def at(self, t: float, now: float, heading: float) -> Array:
        """The command [3], `t` s after the policy took over, at the host's time `now`; `heading` rad is the robot's yaw
        since then, from its IMU."""
        ...

    def lost(self, now: float) -> float | None:
        """Age in s of the newest command when it is too old to follow, or None."""
        ...


@dataclass(frozen=True)
class Constant:
    """One velocity command throughout."""

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in self.velocity):
            raise UserError(f"command must be 3 finite numbers (m/s, m/s, rad/s), got {self.velocity}")

    def at(self, t: float, now: float, heading: float) -> Array:
        return np.array(self.velocity)

    def lost(self, now: float) -> float | None:
        return None


@dataclass(frozen=True)
class Square:
    """A square to the left: `side` m ahead at `speed` m/s, a quarter turn at `turn_rate` rad/s, and so on.

    The sides are timed, since the robot does not know how far it walks; the heading is held by its IMU.
    """

    side: float = 1.0
    speed: float = 0.5
    turn_rate: float = 0.8

    def __post_init__(self) -> None:
        for name, unit in (("side", "m"), ("speed", "m/s"), ("turn_rate", "rad/s")):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise UserError(f"{name} of a square must be above 0 {unit}, got {value}")

    @property
    def duration(self) -> float:
        """Time in s for four sides and four turns."""
        return 4.0 * (self._walking + self._turning)

    @property
    def _walking(self) -> float:
        return self.side / self.speed + 0.5

    @property
    def _turning(self) -> float:
        return 0.5 * math.pi / self.turn_rate + 0.5

    def at(self, t: float, now: float, heading: float) -> Array:
        corner, within = divmod(min(max(t, 0.0), self.duration), self._walking + self._turning)
        if t >= self.duration:
            corner, within = 4.0, 0.0
        walking = within < self._walking and corner < 4.0
        turned = 0.0 if walking else self.turn_rate * (within - self._walking)
        aim = 0.5 * math.pi * corner + (0.0 if corner >= 4.0 else min(max(turned, 0.0), 0.5 * math.pi))
        ahead = self.turn_rate if 0.0 < turned < 0.5 * math.pi else 0.0
        error = math.remainder(aim - heading, 2.0 * math.pi)
        # Half a second at each end of a side is for speeding up and slowing down.
        forward = self.speed if walking and within < self.side / self.speed else 0.0
        return np.array([forward, 0.0, ahead + HEADING_GAIN * error])

    def lost(self, now: float) -> float | None:
        return None


class CmdVel:
    """Follows /cmd_vel: the newest message, and zero when it is older than the time-out."""

    def __init__(self, newest: Callable[[], tuple[Array, float] | None]) -> None:
        """`newest` gives the newest command [3] and when it came in s of the host's clock."""
        self._newest = newest

    def at(self, t: float, now: float, heading: float) -> Array:
        found = self._newest()
        return STOPPING if found is None or now - found[1] > CMD_VEL_TIMEOUT else found[0]

    def lost(self, now: float) -> float | None:
        found = self._newest()
        return now - found[1] if found is not None and now - found[1] > CMD_VEL_TIMEOUT else None


class VelocityLimiter:
    """Keeps velocity commands within [low, high] and lets them change no faster than `rate` [3]: forward and left
    m/s^2, yaw rad/s^2."""

    def __init__(self, low: Array, high: Array, rate: Array) -> None:
        self._low, self._high, self._rate = low, high, rate
        self._last = np.zeros(3)
        self._time = math.nan

    def reset(self) -> None:
        """The robot stands."""
        self._last, self._time = np.zeros(3), math.nan

    def __call__(self, now: float, wanted: Array) -> Array:
        """The command to follow at `now` s; after a gap in time it changes by at most 0.1 s of `rate`."""
        elapsed = 0.02 if math.isnan(self._time) else min(max(now - self._time, 0.0), 0.1)
        step = elapsed * self._rate
        wanted = np.clip(wanted, self._low, self._high)
        self._last = np.clip(wanted, self._last - step, self._last + step)
        self._time = now
        return self._last.copy()
