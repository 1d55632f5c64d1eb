"""The common parts of the simulated robots' processes: clock, identity, and a way to end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator

LONGEST_CATCH_UP = 0.1
"""Longest time in s that the physics catches up after a delay of the process; the rest is skipped."""
TEST_STAND = "/test_stand"
"""Simulation only: the topic for actions of a person at a test stand."""


def keep_time() -> None:
    """Use real-time scheduling, where the system grants it: a robot's motors must not wait for a busy computer.

    The priority is below that of a control loop on the same machine.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def boot_identity() -> str:
    """A new word for every start of a robot."""
    return uuid.uuid4().hex[:8]


@contextlib.contextmanager
def stop_requested() -> Iterator[list[int]]:
    """A list that gets the number of the first SIGINT or SIGTERM."""
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda received_number, _frame: received.append(received_number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class RobotClock:
    """The robot's clock in ns: starts at the time of day and runs monotonically from there."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        return time.monotonic_ns() + self._offset
