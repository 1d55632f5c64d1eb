"""A witness for timing measurements: does the machine itself pause?

One process on each core, pinned to it and at real-time priority, wakes every 2 ms and records when it wakes late. A
pause of all cores at once comes from below the operating system (the host of a virtual machine stops it), and during it
no program can be on time. `python -m robo_rl.bench.stalls CORE` is one such process.
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


class Witness:
    """One process on each core that records when it wakes late, from construction to `close`."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "robo_rl.bench.stalls"]
        cores = sorted(os.sched_getaffinity(0))
        self._processes = [subprocess.Popen([*command, str(core)], stdout=subprocess.PIPE, bufsize=0) for core in cores]
        self._stalls: list[list[Stall]] = [[] for _ in cores]
        for process in self._processes:
            assert process.stdout is not None
            process.stdout.readline()  # From here on it handles the signal.
            os.set_blocking(process.stdout.fileno(), False)

    def pauses(self) -> list[Stall]:
        """The pauses of the whole machine so far."""
        for process, stalls in zip(self._processes, self._stalls, strict=True):
            assert process.stdout is not None
            stalls += [json.loads(line) for line in (process.stdout.read() or b"").splitlines()]
        return common(self._stalls)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
            process.wait(10.0)
            assert process.stdout is not None
            process.stdout.close()


@contextlib.contextmanager
def witness() -> Iterator[dict[str, Any]]:
    """A dict that holds, after the block, how often the whole machine paused meanwhile, and for how long at most."""
    findings: dict[str, Any] = {}
    with contextlib.closing(Witness()) as witness:
        yield findings
        pauses = [end - begin for begin, end in witness.pauses()]
    findings["machine_pauses_over_3_ms"] = len(pauses)
    findings["longest_machine_pause_ms"] = 1e3 * max(pauses, default=0.0)


def common(stalls: list[list[Stall]]) -> list[Stall]:
    """The pauses that every core saw, each as far as the cores' stalls overlap."""
    pauses = []
    for begin, end in stalls[0]:
        for other in stalls[1:]:
            overlaps = [(max(begin, b), min(end, e)) for b, e in other]
            begin, end = max(overlaps, key=lambda span: span[1] - span[0], default=(begin, begin))
        if end - begin > WORTH_NOTING:
            pauses.append((begin, end))
    return pauses


def main(core: int) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    os.sched_setaffinity(0, {core})
    with contextlib.suppress(PermissionError):  # Without real-time priority, the witness is less reliable.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    print("ready", flush=True)
    due = time.monotonic()
    while not stopped:
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.monotonic()
        if now - due > WORTH_NOTING:
            print(json.dumps((due, now)), flush=True)
            due = now


if __name__ == "__main__":
    main(int(sys.argv[1]))
