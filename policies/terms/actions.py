"""Action terms: from a normalised action [N, A] to named commands in SI units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from policies.signals import Commands, Sensors


class ActionTerm(Protocol):
    """Converts the network's action to commands. `dim` is the action's width, `commands` the names it produces.

    `bound` gives the action as executed and remembered; `__call__` takes a bounded action.
    """

    @property
    def dim(self) -> int: ...
    @property
    def commands(self) -> tuple[str, ...]: ...
    def __call__(self, action: Tensor, sensors: Sensors) -> Commands: ...
    def bound(self, action: Tensor) -> Tensor: ...


class OneCommand:
    """Base of a term that produces `command` alone, from an action clipped to [-1, 1]."""

    command: str

    @property
    def commands(self) -> tuple[str, ...]:
        return (self.command,)

    def bound(self, action: Tensor) -> Tensor:
        """The action as executed and remembered: clipped to [-1, 1]."""
        return action.clamp(-1.0, 1.0)


@dataclass(frozen=True)
class ScaledCommand(OneCommand):
    """command = offset + scale * action: [N, dim] in the command's unit."""

    command: str
    dim: int
    scale: float
    offset: float = 0.0

    def __call__(self, action: Tensor, sensors: Sensors) -> Commands:
        return Commands({self.command: self.offset + self.scale * action})


def rotor_speed(maximum: float, rotors: int = 4) -> ScaledCommand:
    """Rotor speeds in rad/s, linear in the action: -1 is standstill, +1 is `maximum` rad/s."""
    return ScaledCommand("rotor_speed", rotors, 0.5 * maximum, 0.5 * maximum)


@dataclass(frozen=True)
class PoseCommand(OneCommand):
    """Joint targets = stance + scale * action: [N, joints] rad."""

    command: str
    stance: tuple[float, ...]
    scale: tuple[float, ...]

    _rows: ClassVar[tuple[Tensor, Tensor]]

    def __post_init__(self) -> None:
        if len(self.stance) != len(self.scale):
            raise ValueError(
                f"PoseCommand needs one scale per joint: {len(self.stance)} joints, {len(self.scale)} scales"
            )
        object.__setattr__(self, "_rows", (torch.tensor([self.stance]), torch.tensor([self.scale])))

    @property
    def dim(self) -> int:
        return len(self.stance)

    def __call__(self, action: Tensor, sensors: Sensors) -> Commands:
        stance, scale = self._rows
        return Commands({self.command: torch.addcmul(stance.to(action), scale.to(action), action)})
