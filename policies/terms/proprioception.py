"""Observation and action terms of robots that feel their joints and an inertial unit, and know nothing of their
velocity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from policies.signals import Commands, Sensors, State
from policies.specs import StateSpec
from policies.terms.observations import ObservationTerm
from policies.terms.rotation import gravity_direction


@dataclass(frozen=True)
class ProjectedGravity:
    """The direction of gravity in the body frame, a unit vector, from an orientation sensor w, x, y, z: [N, 3].

    It is all of an orientation that gravity lets a robot know: the heading is not in it.
    """

    sensor: str = "orientation"
    dim: int = 3

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor,)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return ()

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return gravity_direction(sensors[self.sensor])

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass(frozen=True)
class Deviation:
    """(sensor - reference) * scale: [N, dim]; `reference` is one value a channel, in the sensor's unit."""

    sensor: str
    reference: tuple[float, ...]
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", torch.tensor([self.reference]))

    _row: ClassVar[Tensor]

    @property
    def dim(self) -> int:
        return len(self.reference)

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor,)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return ()

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        value = sensors[self.sensor]
        deviation = value - self._row.to(value)
        return deviation if self.scale == 1.0 else deviation * self.scale

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass(frozen=True)
class History:
    """What `terms` gave in the last `length` steps before this one, oldest first: [N, length * sum of their widths].

    Zero in the steps before a reset; the terms themselves must carry no state. Called several times a period, a slot is
    what the period's first call saw: a sample a period, with its noise, is what the policy was trained on, and a mean
    of directions or angles is none. Actions belong into an `ActionHistory`, which keeps their mean.
    """

    terms: tuple[ObservationTerm, ...]
    length: int
    state: str = "history"

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"History.length must be at least 1, got {self.length}")
        if any(term.states for term in self.terms):
            raise ValueError("History takes terms that carry no state of their own")

    @property
    def width(self) -> int:
        """Values of one step."""
        return sum(term.dim for term in self.terms)

    @property
    def dim(self) -> int:
        return self.length * self.width

    @property
    def sensors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for term in self.terms for name in term.sensors))

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.state, self.dim, between="first"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return state[self.state]

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        now = [sensors.once(term, state) for term in self.terms]
        return {self.state: torch.cat((state[self.state][:, self.width :], *now), -1)}


@dataclass(frozen=True)
class GaitClock:
    """(sin, cos) of a phase that turns at `frequency` Hz from 0 at a reset, `period` s a step: [N, 2].

    The pair itself is the state and is turned by a fixed rotation each step, then brought back to unit length.
    Called several times a period, every call turns it alike and the first will do; a mean would only round.
    """

    frequency: float
    period: float
    dim: int = 2
    state: str = "gait_phase"

    _turn: ClassVar[Tensor]
    _ones: ClassVar[Tensor]

    def __post_init__(self) -> None:
        angle = 2.0 * math.pi * self.frequency * self.period
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        object.__setattr__(self, "_turn", turn)
        object.__setattr__(self, "_ones", torch.ones(2, 2))

    @property
    def sensors(self) -> tuple[str, ...]:
        return ()

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.state, 2, (0.0, 1.0), between="first"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return state[self.state]

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        turned = state[self.state] @ self._turn.to(action)
        # One Newton step towards length 1 keeps rounding from adding up over hours. The products with constants are
        # sums along an axis, for which small targets have no operator of their own.
        length = (turned * turned) @ self._ones.to(action)
        return {self.state: turned * (1.5 - 0.5 * length)}

    def mirrored_reset(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """In the mirror left and right legs have changed places: half a stride later."""
        return {name: -value for name, value in values.items()}


@dataclass(frozen=True)
class PoseCommand:
    """Joint targets: stance + scale * action, for an action bounded to [-1, 1]: [N, joints] rad."""

    command: str
    stance: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.stance) != len(self.scale):
            raise ValueError(
                f"PoseCommand needs one scale a joint: {len(self.stance)} joints, {len(self.scale)} scales"
            )
        object.__setattr__(self, "_rows", (torch.tensor([self.stance]), torch.tensor([self.scale])))

    _rows: ClassVar[tuple[Tensor, Tensor]]

    @property
    def dim(self) -> int:
        return len(self.stance)

    @property
    def commands(self) -> tuple[str, ...]:
        return (self.command,)

    def bound(self, action: Tensor) -> Tensor:
        """The action as executed and remembered: clipped to [-1, 1]."""
        return action.clamp(-1.0, 1.0)

    def __call__(self, action: Tensor, sensors: Sensors) -> Commands:
        stance, scale = self._rows
        return Commands({self.command: torch.addcmul(stance.to(action), scale.to(action), action)})
