"""What happened in a session: every cause once, with its count, so that a repeated fault does not flood the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from real.contract.reactions import REACTIONS
from real.contract.state_machine import State, Trigger


class Fault(NamedTuple):
    """One finding: its cause (a key of REACTIONS), the value found, the limit it exceeds, and where."""

    cause: str
    value: float | None = None
    limit: float | None = None
    detail: str = ""

    @property
    def trigger(self) -> Trigger | None:
        return REACTIONS[self.cause].trigger

    def __str__(self) -> str:
        text = self.cause
        if self.value is not None:
            text += f": {self.value:.4g}"
        if self.limit is not None:
            text += f" (limit {self.limit:.4g})"
        return text + (f", {self.detail}" if self.detail else "")


@dataclass
class Event:
    """All findings of one cause. Times are in s of the host's monotonic clock, or in a report since the session began.

    `value`, `limit`, `detail` and `state` are those of the first finding; `trigger` is what the cause fired, if
    anything.
    """

    cause: str
    state: State
    first: float
    last: float
    count: int
    value: float | None
    limit: float | None
    detail: str
    trigger: Trigger | None = None

    def describe(self) -> str:
        """The finding in one line, such as "tilt: 1.47 (limit 1.4) in POLICY, 1 time, fired DAMP"."""
        found = Fault(self.cause, self.value, self.limit, self.detail)
        fired = f", fired {self.trigger}" if self.trigger else ""
        return f"{found} in {self.state}, {self.count} {'time' if self.count == 1 else 'times'}{fired}"


Listener = Callable[[float, Fault, Event], None]


class EventLog:
    """Collects findings by cause. `listener` gets the first finding of a cause, and then at most one a second."""

    def __init__(self, listener: Listener | None = None, repeat_after: float = 1.0) -> None:
        self._events: dict[str, Event] = {}
        self._reported: dict[str, float] = {}
        self._listener = listener
        self._repeat_after = repeat_after

    @property
    def events(self) -> tuple[Event, ...]:
        """Every cause that occurred, in the order of first occurrence."""
        return tuple(self._events.values())

    def record(self, time: float, state: State, fault: Fault, fired: Trigger | None = None, count: int = 1) -> None:
        """Record a finding, or `count` equal ones; `fired` is the trigger that it fired, if it did."""
        if fault.cause not in REACTIONS:
            raise ValueError(f"{fault.cause!r} is not a known cause; known: {', '.join(REACTIONS)}")
        event = self._events.get(fault.cause)
        if event is None:
            event = Event(fault.cause, state, time, time, count, fault.value, fault.limit, fault.detail, fired)
            self._events[fault.cause] = event
        else:
            event.last = time
            event.count += count
            event.trigger = event.trigger or fired
        reported = self._reported.get(fault.cause)
        if self._listener is not None and (
            reported is None or fired is not None or time - reported >= self._repeat_after
        ):
            self._reported[fault.cause] = time
            self._listener(time, fault, event)
