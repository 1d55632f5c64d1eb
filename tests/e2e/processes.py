"""Real processes of `robo-rl` for the end-to-end tests: started, waited for, sent signals, and always ended."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robo_rl.workflows.processes import command

PATIENCE = 30.0
"""How long, in s, anything may take before a test gives up; no test measures against it."""


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {PATIENCE:.0f} s it did not happen that {what}")
        time.sleep(0.005)


@dataclass(frozen=True)
class Child:
    """A process that one of ours has started."""

    pid: int

    @property
    def alive(self) -> bool:
        """Whether it runs; one that has ended and waits to be noticed does not."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in ("Z", "X")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Process:
    """One `robo-rl ARGUMENTS`; what it prints is kept in `lines`, standard error included."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = tuple(arguments)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            command(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines: list[str] = []
        self.ended_at = math.nan
        """When it was asked to end, in s of Unix time."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str) -> str:
        """Wait for a line that contains `text`, and return it."""
        found: list[str] = []

        def seen() -> bool:
            found.extend(line for line in self.lines if text in line)
            if not found and self._process.poll() is not None:
                raise AssertionError(f"robo-rl {self.arguments} ended before {text!r}:\n{self.output}")
            return bool(found)

        eventually(seen, f"robo-rl {self.arguments[0]} prints {text!r}")
        return found[0]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def children(self) -> list[Child]:
        """The processes that its main thread has started."""
        pid = self._process.pid
        return [Child(int(word)) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(PATIENCE)
        self._close()
        return code

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and return the exit code; kills it when it does not."""
        if self._process.poll() is None:
            self.ended_at = time.time()
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
        try:
            code = self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._close()
        return code

    def _close(self) -> None:
        self._reader.join(5.0)
        if self._process.stdout is not None:
            self._process.stdout.close()


class RotorRecords:
    """The simulated robot's own log, read while it grows: the only witness of what reached the rotors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self._rest = b""
        self._records: list[dict[str, Any]] = []

    def mark(self) -> None:
        """Forget everything so far, a half-written line included: a new test begins."""
        self.read()
        self._records.clear()
        if self._rest:
            self._rest = b"forgotten "

    def read(self, kind: str = "") -> list[dict[str, Any]]:
        """All records since the mark in order, or those of one kind. Every line is parsed once, however often asked."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._position)
                new = file.read()
            self._position += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            self._records += [json.loads(line) for line in lines if line.startswith(b"{")]
        return [record for record in self._records if not kind or record["kind"] == kind]
