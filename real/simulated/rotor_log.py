"""A log of everything that reached the rotors and of everything that was kept from them, one JSON object a line."""

from __future__ import annotations

import json
import math
from typing import IO, Any

from real.ros.messages import ActuatorSample, Array


class RotorLog:
    """Writes to `path`, or nowhere when it is empty. Times are in s on the robot's clock."""

    def __init__(self, path: str) -> None:
        self._file: IO[str] | None = open(path, "w", encoding="utf-8") if path else None  # noqa: SIM115
        self._landed = False

    def accepted(self, now: float, sample: ActuatorSample, age: float) -> None:
        """A command taken over; `age` s is that of the state it was computed from."""
        self._write("accepted", now, writer=sample.writer, sequence=sample.sequence, age=age,
                    rotor_speed=sample.velocity)  # fmt: skip

    def rejected(self, now: float, sample: ActuatorSample, cause: str) -> None:
        """A command kept from the rotors."""
        self._write("rejected", now, writer=sample.writer, sequence=sample.sequence, cause=cause,
                    age=now - sample.stamp * 1e-9)  # fmt: skip

    def state(self, now: float, before: str, after: str, cause: str) -> None:
        """A change of state, written through at once."""
        self._write("state", now, before=before, after=after, cause=cause)
        self._landed = False
        if self._file is not None:
            self._file.flush()

    def event(self, now: float, what: str) -> None:
        """Something else, once until the next change of state."""
        if not self._landed:
            self._write("event", now, what=what)
            self._landed = True

    def applied(self, now: float, source: str, speeds: Array, silence: float, position: Array) -> None:
        """The rotor speeds of one physics step; `silence` s since a command was accepted."""
        if self._file is not None:
            quiet = silence if math.isfinite(silence) else None
            self._write("applied", now, source=source, rotor_speed=speeds.tolist(), silence=quiet,
                        position=position.tolist())  # fmt: skip

    def close(self) -> None:
        """Write everything through and close."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, kind: str, now: float, **values: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"kind": kind, "time": now, **values}, separators=(",", ":")) + "\n")
