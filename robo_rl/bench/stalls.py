"""A witness for timing measurements: does the machine itself pause?

One process a core, pinned to it and at real-time priority, only wakes every 2 ms and notes when it wakes late. A pause
that holds up all cores at once comes from below the operating system (a virtual machine whose host takes it off its
cores), and no program can be on time through it. `python -m robo_rl.bench.stalls CORE` is one such process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PERIOD = 0.002  # s
WORTH_NOTING = 0.003  # s
PRIORITY = 90

Stall = tuple[float, float]
"""When it began and ended, in s of the machine's monotonic clock."""


@contextlib.contextmanager
def witness() -> Iterator[dict[str, Any]]:
    """A dict that holds, after the block, how often the whole machine paused meanwhile, and for how long at most."""
    findings: dict[str, Any] = {}
    command = [sys.executable, "-m", "robo_rl.bench.stalls"]
    cores = sorted(os.sched_getaffinity(0))
    processes = [subprocess.Popen([*command, str(core)], stdout=subprocess.PIPE, text=True) for core in cores]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # It heeds the signal from here on.
    try:
        yield findings
    finally:
        for process in processes:
            process.terminate()
        seen = [json.loads(process.communicate(timeout=10.0)[0]) for process in processes]
        pauses = common(seen)
        findings["machine_pauses_over_3_ms"] = len(pauses)
        findings["longest_machine_pause_ms"] = 1e3 * max(pauses, default=0.0)


def common(stalls: list[list[Stall]]) -> list[float]:
    """Lengths in s of the pauses that every core saw, each as far as the cores' stalls overlap."""
    pauses = []
    for begin, end in stalls[0]:
        for other in stalls[1:]:
            overlaps = [(max(begin, b), min(end, e)) for b, e in other]
            begin, end = max(overlaps, key=lambda span: span[1] - span[0], default=(begin, begin))
        if end - begin > WORTH_NOTING:
            pauses.append(end - begin)
    return pauses


def main(core: int) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    os.sched_setaffinity(0, {core})
    with contextlib.suppress(PermissionError):  # Without the right to it, the witness is a weaker one.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    stalls: list[Stall] = []
    print("ready", flush=True)
    due = time.monotonic()
    while not stopped:
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        if now - due > WORTH_NOTING:
            stalls.append((due, now))
            due = now
    print(json.dumps(stalls))


if __name__ == "__main__":
    main(int(sys.argv[1]))
