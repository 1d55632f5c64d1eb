"""SIGINT and SIGTERM as requests that the control loop reads: the first asks it to come to rest, the second to stop at
once."""

from __future__ import annotations

import math
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from real.timing.schedule import Clock, MonotonicClock

ONE_REQUEST = 0.2
"""Signals within this time in s of each other are one request: a terminal and a parent process may both send one."""


class StopRequests:
    """Counts requests to stop while it is entered. Outside the main thread, where Python allows no handler, only
    `ask` counts."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.count = 0
        self._clock = clock or MonotonicClock()
        self._last = -math.inf
        self._former: dict[signal.Signals, Any] = {}

    def ask(self) -> None:
        """Request a stop, as a signal would."""
        self.count += 1

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = self._clock.now()
        if now - self._last > ONE_REQUEST:
            self.ask()
        self._last = now
