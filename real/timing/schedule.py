"""An absolute-time schedule: ticks lie on a fixed grid of the monotonic clock, however long the work between them
takes."""

from __future__ import annotations

import math
import time
from array import array
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now(self) -> float:
        """The time in s; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after at least `seconds` s."""
        ...


class MonotonicClock:
    """The host's own clock, time.monotonic()."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Tick:
    """One tick: when it was due and when it began, in s, how far the work before it overran its due time (0: it did
    not), and how many ticks before it were skipped for that."""

    due: float
    began: float
    overrun: float
    skipped: int


@dataclass(frozen=True)
class ScheduleStatistics:
    """How well the ticks kept to the grid; times in ms.

    Jitter is |interval between two ticks - period|, over all ticks; lateness is from the due time to the beginning.
    `overruns` counts ticks whose work ended after the next tick was due, `skipped` the ticks left out for it;
    `longest_overrun_ms` is the largest time past that due time.
    """

    ticks: int
    period_ms: float
    jitter_p50_ms: float
    jitter_p99_ms: float
    jitter_max_ms: float
    lateness_p99_ms: float
    overruns: int
    skipped: int
    longest_overrun_ms: float


class Schedule:
    """Ticks every `period` s of `clock`, on a grid that starts with the first call of `wait`.

    The grid is absolute, so that neither the work nor an oversleep shifts the ticks after it. Work that runs past the
    next tick is an overrun: the ticks it missed are skipped and counted, never repeated in a burst.
    """

    def __init__(self, period: float, clock: Clock, spin: float = 0.0002) -> None:
        """`spin` s (at most 0.3 ms) of every wait are spent polling the clock, because a sleep wakes late by about as
        much."""
        if not (math.isfinite(period) and period > 0.0):
            raise ValueError(f"period must be above 0 s, got {period}")
        if not 0.0 <= spin <= 0.0003:
            raise ValueError(f"spin must lie within 0 and 0.0003 s, got {spin}")
        self.period = period
        self._clock = clock
        self._spin = spin
        self._due = math.nan
        self._began = math.nan
        self._jitter = array("d")
        self._lateness = array("d")
        self._overruns = 0
        self._skipped = 0
        self._longest_overrun = 0.0

    def wait(self) -> Tick:
        """Wait for the next tick of the grid and return it; the first call returns at once."""
        now = self._clock.now()
        skipped, overrun = 0, 0.0
        if math.isnan(self._due):
            self._due = now
        else:
            self._due += self.period
            if now > self._due:
                overrun = now - self._due
                self._overruns += 1
                self._longest_overrun = max(self._longest_overrun, overrun)
                # An overrun of less than a period still begins its tick, late; only whole periods are left out.
                skipped = math.floor(overrun / self.period)
                self._skipped += skipped
                self._due += skipped * self.period
        began = self._sleep_until(self._due)
        if not math.isnan(self._began):
            self._jitter.append(abs(began - self._began - self.period))
            self._lateness.append(began - self._due)
        self._began = began
        return Tick(self._due, began, overrun, skipped)

    def shift(self, seconds: float) -> None:
        """Move the rest of the grid by `seconds` s, at most half a period either way."""
        if not abs(seconds) <= 0.5 * self.period:
            raise ValueError(f"a shift of {seconds} s is beyond half the period of {self.period} s")
        self._due += seconds

    def statistics(self) -> ScheduleStatistics:
        """The figures so far."""
        jitter, lateness = np.array(self._jitter), np.array(self._lateness)
        return ScheduleStatistics(
            ticks=len(jitter) + (0 if math.isnan(self._began) else 1),
            period_ms=1e3 * self.period,
            jitter_p50_ms=percentile_ms(jitter, 50),
            jitter_p99_ms=percentile_ms(jitter, 99),
            jitter_max_ms=percentile_ms(jitter, 100),
            lateness_p99_ms=percentile_ms(lateness, 99),
            overruns=self._overruns,
            skipped=self._skipped,
            longest_overrun_ms=1e3 * self._longest_overrun,
        )

    def _sleep_until(self, due: float) -> float:
        while (rest := due - self._clock.now()) > self._spin:
            self._clock.sleep(rest - self._spin)
        while (now := self._clock.now()) < due:
            pass
        return now


class PhaseAligner:
    """Shifts a schedule slowly so that its ticks begin shortly after readings arrive: fresh input without a faster
    loop.

    A tick that finds a reading `age` s after its arrival should have begun `age - margin` s earlier. Readings
    come every `reading_period` s, so the error is wrapped to half of that either way, or to half of the ticks' own
    period where that is shorter, since any of them may then be the one that begins in time. A small gain and the
    bound of `largest` s a tick keep single late messages from moving the grid.
    """

    def __init__(self, margin: float = 0.001, gain: float = 0.05, largest: float = 0.0002) -> None:
        if not (margin >= 0.0 and 0.0 < gain <= 1.0 and largest > 0.0):
            raise ValueError(f"expected margin >= 0, 0 < gain <= 1, largest > 0, got {margin}, {gain} and {largest}")
        self._margin = margin
        self._gain = gain
        self._largest = largest

    def correction(self, age: float, reading_period: float, period: float = math.inf) -> float:
        """The shift in s for a tick that began `age` s after its newest reading arrived; ticks are `period` s apart.

        It is 0 while the period is unknown, and while readings are missing.
        """
        if not (0.0 < reading_period < math.inf and 0.0 <= age <= 2.0 * reading_period < math.inf):
            return 0.0
        error = math.remainder(age - self._margin, min(reading_period, period))
        return min(max(-self._gain * error, -self._largest), self._largest)


def percentile_ms(seconds: np.ndarray[tuple[int], np.dtype[np.float64]], percent: float) -> float:
    """A percentile of times in s, in ms; 0 when there is none."""
    return 1e3 * float(np.percentile(seconds, percent)) if len(seconds) else 0.0
