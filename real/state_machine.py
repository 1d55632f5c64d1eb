"""The states of a flight and the one table of transitions between them."""

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
    POLICY = "POLICY"
    """The policy flies to the setpoint."""
    LAND = "LAND"
    """The policy flies to a target that descends, then the actuators go to their safe value."""
    DAMP = "DAMP"
    """Latched. The host has released the robot: it asks for the robot's own fail-safe and sends no command any more."""
    ESTOP = "ESTOP"
    """Latched. The host has asked the robot to cut its actuators at once and sends no command any more."""


class Trigger(StrEnum):
    """What may happen to a flight, the weakest first: of two at once the later one counts."""

    ARM = "ARM"
    START = "START"
    LANDED = "LANDED"
    LAND = "LAND"
    DAMP = "DAMP"
    ESTOP = "ESTOP"


LATCHED = frozenset({State.DAMP, State.ESTOP})
FLYING = frozenset({State.POLICY, State.LAND})

_ROWS: dict[State, dict[Trigger, State]] = {
    # A trigger that means nothing in a state leaves it unchanged, and the table says so: it has a cell for every pair.
    State.IDLE: {
        Trigger.ARM: State.READY,
        Trigger.START: State.IDLE,
        Trigger.LANDED: State.IDLE,
        Trigger.LAND: State.IDLE,
        Trigger.DAMP: State.DAMP,
        Trigger.ESTOP: State.ESTOP,
    },
    State.READY: {
        Trigger.ARM: State.READY,
        Trigger.START: State.POLICY,
        Trigger.LANDED: State.READY,
        Trigger.LAND: State.IDLE,
        Trigger.DAMP: State.DAMP,
        Trigger.ESTOP: State.ESTOP,
    },
    State.POLICY: {
        Trigger.ARM: State.POLICY,
        Trigger.START: State.POLICY,
        Trigger.LANDED: State.POLICY,
        Trigger.LAND: State.LAND,
        Trigger.DAMP: State.DAMP,
        Trigger.ESTOP: State.ESTOP,
    },
    State.LAND: {
        Trigger.ARM: State.LAND,
        Trigger.START: State.LAND,
        Trigger.LANDED: State.IDLE,
        Trigger.LAND: State.LAND,
        Trigger.DAMP: State.DAMP,
        Trigger.ESTOP: State.ESTOP,
    },
    State.DAMP: {
        Trigger.ARM: State.DAMP,
        Trigger.START: State.DAMP,
        Trigger.LANDED: State.DAMP,
        Trigger.LAND: State.DAMP,
        Trigger.DAMP: State.DAMP,
        Trigger.ESTOP: State.ESTOP,
    },
    State.ESTOP: {
        Trigger.ARM: State.ESTOP,
        Trigger.START: State.ESTOP,
        Trigger.LANDED: State.ESTOP,
        Trigger.LAND: State.ESTOP,
        Trigger.DAMP: State.ESTOP,
        Trigger.ESTOP: State.ESTOP,
    },
}
TRANSITIONS: Mapping[State, Mapping[Trigger, State]] = MappingProxyType(
    {state: MappingProxyType(row) for state, row in _ROWS.items()}
)


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
    """The state of one flight. There is no way back from a latched state: a new flight is a new machine."""

    def __init__(self) -> None:
        self._state = State.IDLE
        self.history: list[Transition] = []

    @property
    def state(self) -> State:
        return self._state

    def fire(self, trigger: Trigger, time: float, cause: str) -> bool:
        """Apply `trigger`; return whether the state changed. Unchanged states leave no entry in the history."""
        target = TRANSITIONS[self._state][trigger]
        if target == self._state:
            return False
        self.history.append(Transition(time, self._state, trigger, target, cause))
        self._state = target
        return True
