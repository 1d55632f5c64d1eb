"""Keeps the interpreter and the system from disturbing the control loop while it runs."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

SWITCH_INTERVAL = 0.0005
"""How long, in s, the recorder's or the driver's thread may keep the interpreter while the control loop runs."""
LOOP_PRIORITY = 2
"""Real-time priority of the calling thread; every other thread of the process gets the one below."""


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection after a last one; to be entered before a robot is connected.

    A collection causes milliseconds of jitter in a small process, and in a large one a pause longer than a link's
    time-out.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()


@contextlib.contextmanager
def undisturbed(realtime: bool) -> Iterator[None]:
    """A short thread switch interval and, if `realtime`, real-time scheduling where the system grants it.

    Another process on the same core causes milliseconds of jitter. All threads of the process get the priority, not
    the caller's alone: a recorder that is preempted while it holds the interpreter's lock would stop the control loop
    as well. Everything is restored at the end.
    """
    interval = sys.getswitchinterval()
    former = _raise_threads() if realtime else {}
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        for thread, (policy, priority) in former.items():
            # A thread may have ended in the meantime.
            with contextlib.suppress(OSError):
                os.sched_setscheduler(thread, policy, os.sched_param(priority))


def _raise_threads() -> dict[int, tuple[int, int]]:
    """Give every thread a real-time priority; return the scheduling that each had, by thread id."""
    former: dict[int, tuple[int, int]] = {}
    own = threading.get_native_id()
    for thread in (int(entry.name) for entry in Path("/proc/self/task").iterdir()):
        # Only root and users with an rtprio limit may; the kernel still keeps a share of every core for all others.
        with contextlib.suppress(OSError):
            before = os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
            priority = LOOP_PRIORITY if thread == own else LOOP_PRIORITY - 1
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(priority))
            former[thread] = before
    return former
