"""What the control loop knows of the task it runs: a flight and a walk differ in this, and in nothing else.

A mission says what the robot shall do now, when it goes on to the next state, and which commands it gives itself in
place of the policy's. It never sends anything: the loop does, and the supervisor has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from real.contract.events import Fault
from real.contract.goal import Goal
from real.contract.robot import Array, LinkStatus, Reading
from real.contract.state_machine import State, Table, Trigger
from real.recording.report import FlightTrace, PositionError


@dataclass(frozen=True)
class Advance:
    """A step of the mission: the trigger, if one fires, the cause that the history gets, and what is put on record."""

    trigger: Trigger | None
    cause: str
    fault: Fault | None = None


@dataclass(frozen=True)
class OwnCommand:
    """A command of the mission's own, name -> [dim]; `quiet` records no rate clamp, which it expects."""

    command: Mapping[str, Array]
    quiet: bool = False


class Mission(Protocol):
    """One task from READY to rest. Times `now` in s of the host's clock; called from the loop's thread alone."""

    table: Table
    """The transitions of the robot's kind."""
    done: str
    """How a session that ended well is called, such as "flew and landed"."""
    none: str
    """How one that never began is called, such as "no flight"."""
    rested: str
    """How one that was cut short and came to rest is called, such as "and landed"."""
    ground: float
    """Height of the ground in m in the frame of the robot's position, for a robot that knows its position."""

    def refuses(self, link: LinkStatus) -> Fault | None:
        """Why this robot must not even be armed, or None; asked once it is connected."""

    def begin(self, now: float, reading: Reading) -> None:
        """The robot is armed; `reading` is the newest one."""

    def asked_to_end(self, now: float, state: State, requested: bool) -> Fault | None:
        """Why the next step towards rest is due: the user asked for it, or the time is over; None when it is not."""

    def goal(self, now: float, state: State) -> Goal:
        """What the robot shall do now."""

    def advance(
        self, now: float, state: State, goal: Goal, newest: Reading | None, usable: Reading | None
    ) -> Sequence[Advance]:
        """The steps that are due. `newest` is the newest good reading, `usable` the same if it is young enough."""

    def own_command(self, now: float, state: State, reading: Reading) -> OwnCommand | None:
        """The command that the mission gives in place of the policy, or None where the policy drives."""

    def sent(self, now: float, state: State, command: Mapping[str, Array]) -> Advance | None:
        """Note a command that left; a step that follows from it, if one does."""

    def trace(self, trace: FlightTrace, now: float, state: State, goal: Goal, reading: Reading) -> None:
        """Gather the figures of the report."""

    def after_step(self, trace: FlightTrace) -> PositionError | None:
        """The error after a setpoint's step, for a mission that has one."""
