"""Actuator models: what stands between a policy's commands and physics: rate limit, then transport delay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.signals import Commands


@dataclass(frozen=True)
class ActuatorModel:
    """The imperfections of one command: `delay` in control steps, `rate_limit` in the command's unit per second (0:
    none).
    """

    command: str
    delay: int = 0
    rate_limit: float = 0.0

    def __post_init__(self) -> None:
        if self.delay < 0 or self.rate_limit < 0.0:
            raise ValueError(f"command {self.command}: delay and rate_limit must not be negative, got {self}")


class ActuatorModels:
    """The models of all commands of N robots; `rest` gives each command's value [dim] before the first one arrives."""

    def __init__(
        self,
        models: tuple[ActuatorModel, ...],
        rest: Mapping[str, Tensor],
        period: float,
        num_worlds: int,
    ) -> None:
        unknown = [m.command for m in models if m.command not in rest]
        if unknown:
            raise ValueError(f"actuator models for {unknown}, which the robot does not take; it takes {sorted(rest)}")
        self._models = [m for m in models if m.delay > 0 or m.rate_limit > 0.0]
        self._rest = dict(rest)
        self._period = period
        self._past = {m.command: rest[m.command].repeat(m.delay + 1, num_worlds, 1) for m in self._models}

    def apply(self, commands: Commands) -> Commands:
        """What reaches the physics in this step; differentiable."""
        if not self._models:
            return commands
        values = dict(commands)
        for model in self._models:
            past = self._past[model.command]
            value = values[model.command]
            if model.rate_limit > 0.0:
                change = model.rate_limit * self._period
                value = past[-1] + (value - past[-1]).clamp(-change, change)
            past = torch.cat((past[1:], value[None])) if model.delay else value[None]
            self._past[model.command] = past
            values[model.command] = past[0]
        return Commands(values)

    def restart(self, ids: Tensor) -> None:
        """Put the worlds `ids` back at rest."""
        for model in self._models:
            past = self._past[model.command].detach().clone()
            past[:, ids] = self._rest[model.command]
            self._past[model.command] = past

    def detach(self) -> None:
        """Cut the gradient's way into the past."""
        self._past = {name: past.detach() for name, past in self._past.items()}

    def snapshot(self) -> dict[str, Tensor]:
        return {name: past.detach().clone() for name, past in self._past.items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._past = {name: snapshot[name].clone() for name in self._past}
