"""Age of a robot's readings on the host, without synchronised clocks."""

from __future__ import annotations

import math

DRIFT = 1e-4
"""How fast, in s/s, the robot's clock may lose against the host's; two quartz clocks of 50 ppm reach this at worst."""


class ClockOffset:
    """Learns the offset of the robot's clock from the messages that come.

    `received - stamp` is the clocks' offset plus the transport's delay, and its least value so far is the offset plus
    the least delay. What a message exceeds it by is delay, and adds to the time since it was received. The least may
    grow slowly, as two clocks drift apart. A delay that every message had from the beginning can't be seen this way;
    the robot, which gets its own stamp echoed with every command, sees it.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._updated = 0.0

    def observe(self, stamp: float, received: float) -> None:
        """Take in one message: `stamp` s of the robot's clock, `received` s of the host's."""
        offset = received - stamp
        if self._offset is not None:
            offset = min(offset, self._offset + DRIFT * (received - self._updated))
        self._offset, self._updated = offset, received

    def age(self, stamp: float, now: float) -> float:
        """How old `stamp` is at the host's time `now`, in s, beyond the least delay; infinite before any message."""
        return math.inf if self._offset is None else now - stamp - self._offset
