"""The figures of a session, gathered tick by tick, and its report."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from real.contract.events import Event
from real.contract.robot import Array
from real.recording.plain import plain
from real.timing.schedule import ScheduleStatistics, percentile_ms


@dataclass(frozen=True)
class PositionError:
    """Distance to the target in m: mean and largest, and the mean over the last second; None where nothing was
    flown."""

    mean: float | None
    max: float | None
    last_second: float | None


@dataclass(frozen=True)
class Age:
    """Age in ms of the readings when their command left, over all commands sent.

    Measured on the host: a reading's delay beyond that of the fastest one, and its time on the host.
    """

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class StateReport:
    """One change of state at `time` s since the session began."""

    time: float
    source: str
    target: str
    cause: str


@dataclass(frozen=True)
class RecorderReport:
    """A recording: its file, the messages written, the records dropped, and why it failed ("" if it did not)."""

    path: str
    messages: int
    dropped: int
    failure: str


@dataclass(frozen=True)
class FlightReport:
    """The outcome of one flight; `to_json` gives it as plain data.

    `success`: the policy flew, the flight ended as asked for (its duration or a request to stop), the vehicle landed,
    and no safety event ended it. `exit_code` is 0 for success and 1 otherwise. `outcome` says it in one line.
    """

    success: bool
    exit_code: int
    outcome: str
    bundle: str
    task: str
    policy_sha256: str
    robot: str
    begun: float
    """When the session began, in s of Unix time: the zero of the times of states and events."""
    duration: float
    """Time in s under the policy, the landing included."""
    final_state: str
    states: tuple[StateReport, ...]
    events: tuple[Event, ...]
    """With times in s since the session began."""
    schedule: ScheduleStatistics
    age: Age
    position_error: PositionError
    """From the start of the flight to the start of the landing."""
    after_step: PositionError | None
    """From the setpoint's step on; None for a setpoint without one."""
    commands_sent: int
    commands: Mapping[str, Mapping[str, list[float]]]
    """Command name -> {"min": [dim], "max": [dim]} over all commands sent, in the command's unit."""
    recording: RecorderReport | None

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON data; what is not finite is null."""
        data: dict[str, Any] = plain(asdict(self))
        return data


class FlightTrace:
    """Gathers a session's figures, at low cost in each tick."""

    def __init__(self) -> None:
        self._time = array("d")
        self._error = array("d")
        self._age = array("d")
        self._low: dict[str, Array] = {}
        self._high: dict[str, Array] = {}

    def position(self, t: float, error: float) -> None:
        """Note the distance `error` m to the target, `t` s after the start."""
        self._time.append(t)
        self._error.append(error)

    def command(self, command: Mapping[str, Array], age: float) -> None:
        """Note a command sent, and the age in s of its reading when it left."""
        self._age.append(age)
        for name, value in command.items():
            self._low[name] = np.minimum(self._low.get(name, value), value)
            self._high[name] = np.maximum(self._high.get(name, value), value)

    @property
    def commands_sent(self) -> int:
        return len(self._age)

    def age(self) -> Age:
        ages = np.array(self._age)
        return Age(percentile_ms(ages, 50), percentile_ms(ages, 99), percentile_ms(ages, 100))

    def position_error(self, since: float = 0.0) -> PositionError:
        """The error from `since` s on."""
        time, error = np.array(self._time), np.array(self._error)
        error, time = error[time >= since], time[time >= since]
        if not len(error):
            return PositionError(None, None, None)
        last = error[time >= time[-1] - 1.0]
        return PositionError(float(error.mean()), float(error.max()), float(last.mean()))

    def commands(self) -> dict[str, dict[str, list[float]]]:
        return {name: {"min": self._low[name].tolist(), "max": self._high[name].tolist()} for name in self._low}
