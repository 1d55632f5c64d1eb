"""Observation terms that carry a state of their own from step to step: histories, integral, rate of change, gait clock.

Each state says with `between` what it becomes when the policy is called several times within one control period (see
`policies.specs.StateSpec`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.specs import StateSpec
from policies.terms.observations import ObservationTerm, OneSensor


@dataclass(frozen=True)
class ActionHistory:
    """The last `length` normalised actions of `action_dim` channels, oldest first: [N, length * action_dim].

    With a motor lag of many control periods, the history makes the rotor speeds observable, which no sensor measures.
    Called several times per period, a slot is the mean of the period's actions: about what lagging motors follow.
    """

    length: int
    action_dim: int
    reset: float = 0.0
    state: str = "action_history"

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"ActionHistory.length must be at least 1, got {self.length}")

    @property
    def dim(self) -> int:
        return self.length * self.action_dim

    @property
    def sensors(self) -> tuple[str, ...]:
        return ()

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.state, self.dim, self.reset, between="mean"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return state[self.state]

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        return {self.state: torch.cat((state[self.state][:, self.action_dim :], action), -1)}


@dataclass(frozen=True)
class History:
    """The values of `terms` in the last `length` steps before this one, oldest first: [N, length * sum of widths].

    Steps before a reset are zero; the terms themselves must carry no state. Called several times per period, a slot is
    what the period's first call observed: the policy was trained on one noisy sample per period, and a mean of
    directions or angles is not a valid direction or angle. Actions belong in an `ActionHistory`, which keeps the mean.
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
class ErrorIntegral:
    """The time integral of a sensor minus its target, clamped to +-`limit` (unit times s), times `scale`: [N, dim].

    It lets a policy remove the steady offset that a constant disturbance or a heavier vehicle causes. `period` s is the
    control period: each of several calls in a period adds a whole period's error, and the mean of the results is the
    integral in finer steps.
    """

    sensor: str
    target: str
    limit: float
    scale: float
    period: float
    dim: int = 3
    state: str = "error_integral"

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor, self.target)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.state, self.dim, between="mean"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return state[self.state] * self.scale

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        error = sensors[self.sensor] - sensors[self.target]
        return {self.state: (state[self.state] + self.period * error).clamp(-self.limit, self.limit)}


@dataclass(frozen=True)
class RateOfChange(OneSensor):
    """How fast a smooth sensor changes, from its last two values, clipped to +-`limit` (unit per s), times `scale`:
    [N, dim].

    It is zero in the first step after a reset, when there is no last value; the state's last channel is 0 then and 1
    afterwards. Called several times per period, the last value is the mean over the last period's calls: during the
    present period the two are on average one `period` apart, by which the term divides. The last period's first value
    would be up to nearly two periods old.
    """

    sensor: str
    limit: float
    scale: float
    period: float
    dim: int = 3

    @property
    def state(self) -> str:
        return f"last_{self.sensor}"

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.state, self.dim + 1, between="mean"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        last, known = state[self.state][:, : self.dim], state[self.state][:, self.dim :]
        rate = (sensors[self.sensor] - last) * (known / self.period)
        return rate.clamp(-self.limit, self.limit) * self.scale

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        value = sensors[self.sensor]
        # Ones of the batch's size by arithmetic: any other way exports operators that small targets lack.
        return {self.state: torch.cat((value, value[:, :1] * 0.0 + 1.0), -1)}


@dataclass(frozen=True)
class GaitClock:
    """(sin, cos) of a phase that advances at `frequency` Hz from 0 at a reset, `period` s per step: [N, 2].

    The state is the pair itself, rotated by a fixed angle each step and then brought back to unit length. Called
    several times per period, every call gives the same rotation and the first is kept; a mean would only add rounding.
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
        # One Newton step towards length 1 keeps rounding from accumulating over hours. The product with ones is a sum
        # along an axis, for which small targets have no operator of their own.
        length = (turned * turned) @ self._ones.to(action)
        return {self.state: turned * (1.5 - 0.5 * length)}

    def mirrored_reset(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """The states' reset values in the mirror, where left and right legs swap: half a stride later."""
        return {name: -value for name, value in values.items()}
