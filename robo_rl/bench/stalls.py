"""A witness for timing measurements: a process that only wakes every 2 ms, and notes when the machine let it wake late.

What keeps an idle loop at real-time priority from running keeps a control loop from running, too: a virtual machine
whose host takes the core away, above all. `python -m robo_rl.bench.stalls` prints its findings when it is told to stop.
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


@contextlib.contextmanager
def witness() -> Iterator[dict[str, Any]]:
    """A dict that holds, after the block, how often the machine stalled beside it and for how long at most."""
    findings: dict[str, Any] = {}
    process = subprocess.Popen([sys.executable, "-m", "robo_rl.bench.stalls"], stdout=subprocess.PIPE, text=True)
    try:
        yield findings
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=10.0)
        findings.update(json.loads(out))


def main() -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    with contextlib.suppress(AttributeError, PermissionError):  # Without the right to it, the witness is a weaker one.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    stalls = []
    due = time.monotonic()
    while not stopped:
        due += PERIOD
        time.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due
        if late > WORTH_NOTING:
            stalls.append(1e3 * late)
            due += late
    print(json.dumps({"stalls_over_3_ms": len(stalls), "longest_stall_ms": max(stalls, default=0.0)}))


if __name__ == "__main__":
    main()
