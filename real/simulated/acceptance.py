"""Which commands a robot obeys: every check in one place, in the robot's own clock, when the command arrives."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

NANO = 1e-9
ROUNDING = 1e-6


class Command(Protocol):
    """A command as it came: the echoed stamp in ns on the robot's clock, who sent it, and its values in SI units."""

    @property
    def stamp(self) -> int: ...
    @property
    def writer(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def values(self) -> tuple[float, ...]: ...


@dataclass(frozen=True)
class CommandLimits:
    """The limits of a command: as many values as `low` and `high` have, each within its own, in SI units, and an echoed
    stamp of at most `max_age` s.

    A single-precision policy may miss a bound by rounding: that much passes, and is clipped where it is applied. A
    writer that has sent nothing acceptable for `lock_time` s loses its exclusive right to command.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    max_age: float = 0.1
    lock_time: float = 1.0


class CommandGate:
    """Accepts commands of one writer at a time: finite, within limits, fresh, in order."""

    def __init__(self, limits: CommandLimits) -> None:
        self._limits = limits
        self._writer = ""
        self._sequence = -1
        self._accepted_at = -math.inf
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.last_age = math.nan
        """Age in s of the state that the newest accepted command was computed from, when it was accepted."""

    def owner(self, now: float) -> str:
        """The writer that holds the lock at `now` s, or ""."""
        return self._writer if now - self._accepted_at <= self._limits.lock_time else ""

    def silence(self, now: float) -> float:
        """Time in s since a command was accepted; infinite before the first."""
        return now - self._accepted_at

    def admit(self, sample: Command, now: float) -> str:
        """Check a command at `now` s of the robot's clock; "" when it is accepted, or the cause of rejection."""
        cause = self._cause(sample, now)
        if cause:
            self.rejected[cause] += 1
            return cause
        self._writer, self._sequence, self._accepted_at = sample.writer, sample.sequence, now
        self.last_age = now - sample.stamp * NANO
        self.accepted += 1
        return ""

    def reject(self, cause: str) -> str:
        """Count a command that is refused for a reason beyond this gate, and return the cause."""
        self.rejected[cause] += 1
        return cause

    def _cause(self, sample: Command, now: float) -> str:
        limits = self._limits
        if len(sample.values) != len(limits.low):
            return "wrong length"
        if not all(math.isfinite(v) for v in sample.values):
            return "non-finite"
        for value, low, high in zip(sample.values, limits.low, limits.high, strict=True):
            slack = ROUNDING * (high - low)
            if not low - slack <= value <= high + slack:
                return "out of limits"
        age = now - sample.stamp * NANO
        if age > limits.max_age:
            return "stale"
        if age < 0.0:
            return "from the future"
        owner = self.owner(now)
        if owner and sample.writer != owner:
            return "not the owner"
        if sample.writer == self._writer and sample.sequence <= self._sequence:
            return "out of order"
        return ""
