"""A log of every command to a legged robot and of its true state, one JSON object a line; and the path it holds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import IO, Any

import numpy as np

from real.ros.fields import Array
from real.ros.legged_messages import JointCommand


class LeggedLog:
    """Writes to `path`, or nowhere when it is empty. Times are in s on the robot's clock."""

    def __init__(self, path: str) -> None:
        self._file: IO[str] | None = open(path, "w", encoding="utf-8") if path else None  # noqa: SIM115

    def accepted(self, now: float, command: JointCommand, age: float) -> None:
        """A command taken over, its targets in the robot's order; `age` s is that of the state it was made from."""
        self._write("accepted", now, writer=command.writer, sequence=command.sequence, age=age, target=command.values)

    def rejected(self, now: float, command: JointCommand, cause: str) -> None:
        """A command kept from the motors."""
        self._write(
            "rejected", now, writer=command.writer, sequence=command.sequence, cause=cause,
            age=now - command.stamp * 1e-9,
        )  # fmt: skip

    def state(self, now: float, before: str, after: str, cause: str) -> None:
        """A change of state, written through at once."""
        self._write("state", now, before=before, after=after, cause=cause)
        if self._file is not None:
            self._file.flush()

    def event(self, now: float, what: str) -> None:
        """Something else, such as a push."""
        self._write("event", now, what=what)

    def truth(self, now: float, mode: str, silence: float, **values: Array) -> None:
        """The true state: position [3] and orientation [4] of the base in the world, joints, targets and torques."""
        if self._file is not None:
            quiet = silence if math.isfinite(silence) else None
            rows = {name: value.round(5).tolist() for name, value in values.items()}
            self._write("truth", now, mode=mode, silence=quiet, **rows)

    def close(self) -> None:
        """Write everything through and close."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, kind: str, now: float, **values: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "time": now, **values}, separators=(",", ":")) + "\n")


def read_path(path: Path) -> tuple[Array, Array, list[str]]:
    """Time [n] in s, base pose [n, 4] as x, y, z in m and yaw in rad, and the robot's mode, of a log."""
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
