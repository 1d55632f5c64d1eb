"""Action terms: from a normalised action [N, A] to named commands in SI units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from policies.signals import Commands, Sensors


class ActionTerm(Protocol):
    """Turns the network's action into commands. `dim` is the action's width, `commands` the names it produces.

    `bound` gives the action as executed and remembered; `__call__` takes a bounded action.
    """

    @property
    def dim(self) -> int: ...
    @property
    def commands(self) -> tuple[str, ...]: ...
    def __call__(self, action: Tensor, sensors: Sensors) -> Commands: ...
    def bound(self, action: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ScaledCommand:
    """command = offset + scale * action, for an action bounded to [-1, 1]: [N, dim] in the command's unit."""

    command: str
    dim: int
    scale: float
    offset: float = 0.0

    @property
    def commands(self) -> tuple[str, ...]:
        return (self.command,)

    def bound(self, action: Tensor) -> Tensor:
        """The action as executed and remembered: clipped to [-1, 1]."""
        return action.clamp(-1.0, 1.0)

    def __call__(self, action: Tensor, sensors: Sensors) -> Commands:
        return Commands({self.command: self.offset + self.scale * action})


def rotor_speed(maximum: float, rotors: int = 4) -> ScaledCommand:
    """Rotor speeds in rad/s, linear in the action: -1 is standstill, +1 is `maximum` rad/s."""
    return ScaledCommand("rotor_speed", rotors, 0.5 * maximum, 0.5 * maximum)
