"""A log of every command to a simulated robot and of what it did, one JSON object a line; and the path it holds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from real.ros.fields import Array
from real.simulated.acceptance import Command


class RobotLog:
    """Writes to `path`, or nowhere when it is empty. Times are in s on the robot's clock.

    `command` is what the log calls the values of a command, such as "rotor_speed".
    """

    def __init__(self, path: str, command: str) -> None:
        self._file: IO[str] | None = open(path, "w", encoding="utf-8") if path else None  # noqa: SIM115
        self._command = command
        self._in_this_state: set[str] = set()

    def accepted(self, now: float, command: Command, age: float) -> None:
        """A command that the actuators follow; `age` s is that of the reading it was computed from."""
        values = {self._command: command.values}
        self._write("accepted", now, writer=command.writer, sequence=command.sequence, age=age, **values)

    def rejected(self, now: float, command: Command, cause: str) -> None:
        """A rejected command."""
        age = now - command.stamp * 1e-9
        self._write("rejected", now, writer=command.writer, sequence=command.sequence, cause=cause, age=age)

    def state(self, now: float, before: str, after: str, cause: str) -> None:
        """A change of state, written through at once."""
        self._write("state", now, before=before, after=after, cause=cause)
        self._in_this_state.clear()
        if self._file is not None:
            self._file.flush()

    def event(self, now: float, what: str, once: bool = False) -> None:
        """Something else, such as a push; `once`: only the first time in a state."""
        if not (once and what in self._in_this_state):
            self._write("event", now, what=what)
        self._in_this_state.add(what)

    def step(self, kind: str, now: float, silence: float, values: Mapping[str, str | Array]) -> None:
        """One step of the simulation, `silence` s after the last accepted command, with arrays and words by name."""
        if self._file is not None:
            rows = {name: value if isinstance(value, str) else value.tolist() for name, value in values.items()}
            self._write(kind, now, silence=silence if math.isfinite(silence) else None, **rows)

    def close(self) -> None:
        """Write everything through and close."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, kind: str, now: float, **values: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "time": now, **values}, separators=(",", ":")) + "\n")


class LoggedState:
    """A robot's own state in one word, and why it changed last; each change goes to the log."""

    def __init__(self, mode: str, log: RobotLog) -> None:
        self.mode = mode
        self.cause = ""
        """Why the robot last stopped following its host: the watchdog, a stop request, a crash."""
        self._log = log

    def enter(self, mode: str, now: float, cause: str) -> None:
        """Change to `mode`, if it is another one."""
        if mode != self.mode:
            self._log.state(now, self.mode, mode, cause)
            self.mode, self.cause = mode, cause


def read_path(path: Path) -> tuple[Array, Array, list[str]]:
    """Time [n] in s, base pose [n, 4] as x, y, z in m and yaw in rad, and the robot's mode, of a legged robot's log."""
    times, poses, modes = [], [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "truth":
            w, x, y, z = record["orientation"]
            yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
            times.append(record["time"])
            poses.append([*record["position"], yaw])
            modes.append(record["mode"])
    return np.array(times), np.array(poses).reshape(-1, 4), modes
