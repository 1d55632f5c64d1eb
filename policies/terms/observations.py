"""Observation terms: plain torch functions of named sensors and explicit state, shared by training and export.

A term names the sensors it reads and the states it carries; the policy graph joins the terms in the order given. This
module has the protocol and the terms without state; `policies.terms.stateful` has the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.specs import StateSpec
from policies.terms.rotation import Quaternion, gravity_direction, rotation_matrix, turned, turning


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


class Stateless:
    """Base of a term that carries nothing from step to step."""

    @property
    def states(self) -> tuple[StateSpec, ...]:
        return ()

    def advance(self, sensors: Sensors, state: State, action: Tensor) -> dict[str, Tensor]:
        return {}


class OneSensor:
    """Base of a term that reads `sensor` alone."""

    sensor: str

    @property
    def sensors(self) -> tuple[str, ...]:
        return (self.sensor,)


@dataclass(frozen=True)
class ClippedError(Stateless):
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
class RotationMatrix(OneSensor, Stateless):
    """The body-to-world rotation matrix of an orientation sensor w, x, y, z, row by row: [N, 9].

    Unlike the quaternion it has no sign ambiguity.
    """

    sensor: str = "orientation"
    dim: int = 9

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        return rotation_matrix(sensors[self.sensor])


@dataclass(frozen=True)
class ProjectedGravity(OneSensor, Stateless):
    """The direction of gravity in the body frame, a unit vector, from an orientation sensor w, x, y, z: [N, 3].

    It carries roll and pitch, and no heading. `mount` is the orientation of the sensor's axes in the body's frame, w x
    y z, where they are not the body's own.
    """

    sensor: str = "orientation"
    dim: int = 3
    mount: Quaternion | None = None

    _turn: ClassVar[Tensor]

    def __post_init__(self) -> None:
        if self.mount is not None:
            object.__setattr__(self, "_turn", turning(self.mount))

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        direction = gravity_direction(sensors[self.sensor])
        return direction if self.mount is None else turned(direction, self._turn)


@dataclass(frozen=True)
class Reading(OneSensor, Stateless):
    """A sensor's value times `scale`: [N, dim]. `mount` as in ProjectedGravity, for a vector of three."""

    sensor: str
    dim: int
    scale: float = 1.0
    mount: Quaternion | None = None

    _turn: ClassVar[Tensor]

    def __post_init__(self) -> None:
        if self.mount is not None:
            object.__setattr__(self, "_turn", turning(self.mount))

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        value = sensors[self.sensor]
        if self.mount is not None:
            value = turned(value, self._turn)
        return value if self.scale == 1.0 else value * self.scale


@dataclass(frozen=True)
class Deviation(OneSensor, Stateless):
    """(sensor - reference) * scale: [N, dim]; `reference` is one value per channel, in the sensor's unit."""

    sensor: str
    reference: tuple[float, ...]
    scale: float = 1.0

    _row: ClassVar[Tensor]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_row", torch.tensor([self.reference]))

    @property
    def dim(self) -> int:
        return len(self.reference)

    def __call__(self, sensors: Sensors, state: State) -> Tensor:
        value = sensors[self.sensor]
        deviation = value - self._row.to(value)
        return deviation if self.scale == 1.0 else deviation * self.scale
