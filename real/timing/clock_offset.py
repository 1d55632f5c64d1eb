"""Age of a robot's readings on the host, without synchronised clocks."""

from __future__ import annotations

import math

DRIFT = 1e-4
"""Largest drift, in s/s, of the robot's clock against the host's; two quartz clocks of 50 ppm reach this at worst."""


class ClockOffset:
    """Estimates the offset of the robot's clock from the messages that arrive.

    `received - stamp` is the clocks' offset plus the transport's delay, and its minimum so far is the offset plus the
    smallest delay. A message's excess over the minimum is its delay, which adds to the time since it was received. The
    minimum may grow slowly, because the two clocks drift. A delay that every message has had from the beginning can't
    be detected this way; the robot, whose own stamp is echoed with every command, can detect it.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._updated = 0.0

    def observe(self, stamp: float, received: float) -> None:
        """Update with one message: `stamp` s of the robot's clock, `received` s of the host's."""
        offset = received - stamp
        if self._offset is not None:
            offset = min(offset, self._offset + DRIFT * (received - self._updated))
        self._offset, self._updated = offset, received

    def age(self, stamp: float, now: float) -> float:
        """How old `stamp` is at the host's time `now`, in s, beyond the smallest delay; infinite before any message."""
        return math.inf if self._offset is None else now - stamp - self._offset
