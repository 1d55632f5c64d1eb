"""Observation terms: plain torch functions of named sensors and explicit state, shared by training and export.

A term says which sensors it reads and which states it carries; the policy graph joins the terms in the order given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.specs import StateSpec
from policies.terms.rotation import rotation_matrix


class ObservationTerm(Protocol):
    """One block of the observation.

    `dim` is its width, `sensors` the names it reads, `states` what it carries. `__call__` returns [N, dim];
    `advance` returns the next value of every state in `states`, given the normalised action [N, A] just chosen.
    """

    @property
    def dim(self) -> int: ...
    @property
    def sensors(self) -> tuple[str, ...]: ...
    @property
    def states(self) -> tuple[StateSpec, ...]: ...
    def __call__(self, sensors: Sensors, state: State) -> Tensor: ...
    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]: ...


class _Stateless:
    """A term that carries nothing from step to step."""

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return ()

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass(frozen=True)
class ClippedError(_Stateless):
    """A sensor, minus a target sensor if one is named, clipped to +-`limit` in each channel: [N, dim], sensor's unit.

    Clipping keeps a far target inside what the policy saw in training (arXiv 2311.13081: 0.6 m and 2 m/s).
    """

    sensor: str
    limit: float
    target: str = ""
    dim: int = 3

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor, self.target) if self.target else (self.sensor,)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        error = sensors[self.sensor] - sensors[self.target] if self.target else sensors[self.sensor]
        return error.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class RotationMatrix(_Stateless):
    """The body-to-world rotation matrix of an orientation sensor, row by row: [N, 9]. It has no sign ambiguity."""

    sensor: str = "orientation"
    dim: int = 9

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor,)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return rotation_matrix(sensors[self.sensor])


@dataclass(frozen=True)
class Reading(_Stateless):
    """A sensor as it is, times `scale`: [N, dim]."""

    sensor: str
    dim: int
    scale: float = 1.0

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor,)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        value = sensors[self.sensor]
        return value if self.scale == 1.0 else value * self.scale


@dataclass(frozen=True)
class ActionHistory:
    """The last `length` normalised actions of `action_dim` channels, oldest first: [N, length * action_dim].

    With a motor lag of many control periods the history is what makes visible the rotor speeds, which no sensor gives.
    Called several times a period, a slot is the mean of the period's actions: what a lag makes of them, near enough.
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
class ErrorIntegral:
    """The time integral of a sensor minus its target, clamped to +-`limit` (unit times s), times `scale`: [N, dim].

    It is what lets a policy remove the offset that a constant disturbance or a heavier vehicle leaves. `period` s is
    the control period: called several times in one, each call adds a whole period's error, and their mean is the
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
class RateOfChange:
    """How fast a smooth sensor changes, from its last two values, clipped to +-`limit` (unit per s), times `scale`:
    [N, dim].

    Zero in the first step after a reset, when there is no last value yet: the state's last channel tells. Called
    several times a period, the last value is the mean of the last period's: as the present one runs through its period,
    the two are one `period`, by which the term divides, apart on average; from the last period's first value they would
    be up to nearly two.
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
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor,)

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return (StateSpec(self.state, self.dim + 1, between="mean"),)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        last, known = state[self.state][:, : self.dim], state[self.state][:, self.dim :]
        rate = (sensors[self.sensor] - last) * (known / self.period)
        return rate.clamp(-self.limit, self.limit) * self.scale

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        value = sensors[self.sensor]
        # A constant of the batch's size by arithmetic: made any other way it needs operators that small targets lack.
        return {self.state: torch.cat((value, value[:, :1] * 0.0 + 1.0), -1)}
