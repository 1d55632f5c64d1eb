"""`robo-rl` in a process forked from one that has imported what a training needs: a start takes no time to import."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from robo_rl.cli.main import main

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["robo_rl.cli.train", "robo_rl.training.runner", "sim.tasks", "torch._dynamo"])


class Forked:
    """A running `robo-rl ARGUMENTS`, a process of its own; what it prints, standard error included, goes to `log`."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._log = log
        self._process = _SERVER.Process(target=_run, args=(list(arguments), log), daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit code, None while it runs; of one that a signal ended the signal's number, negative."""
        return self._process.exitcode

    @property
    def output(self) -> str:
        return self._log.read_text()

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self, timeout: float) -> None:
        """Wait until it has ended; fails when that takes longer than `timeout` s."""
        self._process.join(timeout)
        assert self.returncode is not None, f"still running after {timeout:g} s:\n{self.output}"


def _run(arguments: list[str], log: Path) -> None:
    with log.open("wb") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
    sys.exit(main(arguments))
