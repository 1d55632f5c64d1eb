"""A test in real time is repeated only when the whole machine paused during it; pytest-rerunfailures does the rest.

A pause below the operating system (a virtual machine taken off its cores) makes every process late, and no program can
be on time through it. Witness processes measure it: see robo_rl/bench/stalls.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from robo_rl.bench.stalls import PERIOD, Witness

PAUSE = 0.01
"""Length in s of a pause that excuses a failure: one tick of a control loop at 100 Hz."""
REPEATS = 2
"""How often one test is repeated at most; `--max-suite-reruns` in pyproject.toml limits a whole run."""


class Repeats:
    """The plugin. `witness` starts the witness processes; they run from the first test in real time on."""

    def __init__(self, witness: Callable[[], Witness] = Witness) -> None:
        self._start_witness = witness
        self._witness: Witness | None = None
        self._begun = 0.0

    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            if item.get_closest_marker("realtime") is not None:
                item.add_marker(pytest.mark.flaky(reruns=REPEATS, condition=self._paused))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Called at each attempt, before any fixture."""
        if item.get_closest_marker("realtime") is None:
            return
        if self._witness is None:
            self._witness = self._start_witness()
        self._begun = time.monotonic()

    def _paused(self) -> bool:
        """Whether the machine paused since the attempt began that has just failed."""
        assert self._witness is not None
        time.sleep(5.0 * PERIOD)  # The witnesses write down a pause when it is over.
        return any(end > self._begun and end - begin >= PAUSE for begin, end in self._witness.pauses())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for report in terminalreporter.stats.get("rerun", []):
            terminalreporter.line(f"REPEATED {report.nodeid}: the machine paused meanwhile")
        if self._witness is not None:
            pauses = [1e3 * (end - begin) for begin, end in self._witness.pauses() if end - begin >= PAUSE]
            times = f"{len(pauses)} times for {1e3 * PAUSE:.0f} ms or more, longest {max(pauses, default=0.0):.0f} ms"
            terminalreporter.line(f"the whole machine paused {times}")

    def pytest_unconfigure(self) -> None:
        if self._witness is not None:
            self._witness.close()
            self._witness = None
