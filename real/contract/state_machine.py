"""The states of a session and the tables of transitions between them; each kind of mission has its own table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """What the host does with the robot."""

    IDLE = "IDLE"
    """Nothing is sent; the actuators are off or held by the robot itself."""
    READY = "READY"
    """Armed: the model is warm, the readings are fresh and inside the envelope; nothing is sent yet."""
    STAND = "STAND"
    """A legged robot moves to its stance, before the policy and after it."""
    POLICY = "POLICY"
    """The policy drives the robot: it flies to the setpoint, or walks as commanded."""
    HALT = "HALT"
    """The robot comes to a stop: a legged one under its policy, with a velocity command of zero."""
    LAND = "LAND"
    """The policy flies to a target that descends, then the actuators go to their safe value."""
    LIE = "LIE"
    """A legged robot moves to the pose it lies in, then is released."""
    DAMP = "DAMP"
    """Latched. The host has released the robot: it asks for the robot's own fail-safe and sends no command any more."""
    ESTOP = "ESTOP"
    """Latched. The host has asked the robot to cut its actuators at once and sends no command any more."""


class Trigger(StrEnum):
    """Triggers of a session, the weakest first: of two at once the stronger one counts."""

    ARM = "ARM"
    """Every check holds."""
    START = "START"
    """One step towards the policy."""
    DONE = "DONE"
    """The robot is at rest where it should stay."""
    END = "END"
    """One step towards rest, in good order: a flying robot lands, a legged one halts, stands and lies down."""
    DAMP = "DAMP"
    ESTOP = "ESTOP"


LATCHED = frozenset({State.DAMP, State.ESTOP})
ACTIVE = frozenset({State.STAND, State.POLICY, State.HALT, State.LAND, State.LIE})
"""The states in which commands are sent."""

Table = Mapping[State, Mapping[Trigger, State]]


def transitions(steps: Mapping[State, Mapping[Trigger, State]]) -> Table:
    """The whole table for some `steps`: a trigger that has no step in a state leaves it unchanged.

    From every state DAMP and ESTOP lead to their states, except DAMP from ESTOP, whose actuators are off already.
    """
    rows = {}
    for state in (*steps, *LATCHED):
        row = dict.fromkeys(Trigger, state) | dict(steps.get(state, {}))
        row |= {Trigger.DAMP: State.ESTOP if state == State.ESTOP else State.DAMP, Trigger.ESTOP: State.ESTOP}
        rows[state] = MappingProxyType(row)
    return MappingProxyType(rows)


FLIGHT = transitions(
    {
        State.IDLE: {Trigger.ARM: State.READY},
        State.READY: {Trigger.START: State.POLICY, Trigger.END: State.IDLE},
        State.POLICY: {Trigger.END: State.LAND},
        State.LAND: {Trigger.DONE: State.IDLE},
    }
)
"""The transitions of a flying robot."""

WALK = transitions(
    {
        State.IDLE: {Trigger.ARM: State.READY},
        State.READY: {Trigger.START: State.STAND, Trigger.END: State.IDLE},
        State.STAND: {Trigger.START: State.POLICY, Trigger.END: State.LIE},
        State.POLICY: {Trigger.END: State.HALT},
        State.HALT: {Trigger.END: State.STAND},
        State.LIE: {Trigger.DONE: State.IDLE},
    }
)
"""The transitions of a legged robot."""


def strongest(triggers: list[Trigger]) -> Trigger | None:
    """The trigger that counts when several come at once, or None when there is none."""
    order = list(Trigger)
    return max(triggers, key=order.index, default=None)


@dataclass(frozen=True)
class Transition:
    """One change of state: `time` in s of the host's monotonic clock, and the cause that fired `trigger`."""

    time: float
    source: State
    trigger: Trigger
    target: State
    cause: str


class StateMachine:
    """The state of one session. A latched state is never left: a new session has a new machine."""

    def __init__(self, table: Table = FLIGHT) -> None:
        self._table = table
        self._state = State.IDLE
        self.history: list[Transition] = []

    @property
    def state(self) -> State:
        return self._state

    def fire(self, trigger: Trigger, time: float, cause: str) -> bool:
        """Apply `trigger`; return whether the state changed. Unchanged states leave no entry in the history."""
        target = self._table[self._state][trigger]
        if target == self._state:
            return False
        self.history.append(Transition(time, self._state, trigger, target, cause))
        self._state = target
        return True
