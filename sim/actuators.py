"""Actuator models, between a policy's commands and physics: zero error, rate limit, then transport delay.

The delay is counted in substeps of the physics, so that a command may arrive in the middle of a control period: physics
is then given one command for each substep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.signals import Commands


@dataclass(frozen=True)
class ActuatorModel:
    """The imperfections of one command: `delay` in substeps of the physics, `rate_limit` in the command's unit per
    second (0: none).
    """

    command: str
    delay: int = 0
    rate_limit: float = 0.0

    def __post_init__(self) -> None:
        if self.delay < 0 or self.rate_limit < 0.0:
            raise ValueError(f"command {self.command}: delay and rate_limit must not be negative, got {self}")


class Actuator:
    """One command of N robots on its way to the physics, for control periods of `period` s with `substeps` of physics.

    `delay` [N] int64 and `zero` [N, dim] are live tensors that randomization may write: the substeps that each world's
    command takes to arrive, from 0 to the model's `delay`, and the zero error of its actuator in the command's unit,
    which is subtracted from the command. `rest` [dim] is the command before the first one arrives.
    """

    def __init__(self, model: ActuatorModel, rest: Tensor, period: float, num_worlds: int, substeps: int) -> None:
        self._model = model
        self._rest = rest
        self._change = model.rate_limit * period
        self._substeps = substeps
        self.delay = torch.full((num_worlds,), model.delay, dtype=torch.int64, device=rest.device)
        self.zero = rest.new_zeros(num_worlds, len(rest))
        # Commands of the last periods [H, N, dim], newest last.
        self._past = rest.repeat(1 + -(-model.delay // substeps), num_worlds, 1)
        late = torch.arange(model.delay + 1)[:, None] - torch.arange(substeps)
        # A command of `late` substeps ago is this many periods old, rounded up.
        age = (late + substeps - 1).div(substeps, rounding_mode="floor").clamp_min(0)
        # For each delay, which of the H N rows of the past arrive in each substep at world 0 [delay + 1, substeps].
        self._rows = ((len(self._past) - 1 - age) * num_worlds).to(rest.device)
        self._worlds = torch.arange(num_worlds, device=rest.device)[:, None]

    def apply(self, value: Tensor) -> Tensor:
        """What arrives [N, dim], held for the period, or [N, substeps, dim] of the command `value` [N, dim]."""
        value = value - self.zero
        if self._model.rate_limit > 0.0:
            value = self._past[-1] + (value - self._past[-1]).clamp(-self._change, self._change)
        self._past = torch.cat((self._past[1:], value[None]))
        if not self._model.delay:
            return value
        rows = self._rows.index_select(0, self.delay) + self._worlds
        arriving = self._past.view(-1, value.shape[1]).index_select(0, rows.flatten())
        return arriving if self._substeps == 1 else arriving.view(len(value), self._substeps, -1)

    def restart(self, ids: Tensor) -> None:
        """Put the worlds `ids` [K] back at rest."""
        rest = self._rest.expand(len(self._past), len(ids), -1)
        self._past = self._past.detach().index_copy(1, ids, rest)

    def detach(self) -> None:
        """Cut the gradient's way into the past."""
        self._past = self._past.detach()

    def snapshot(self) -> dict[str, Tensor]:
        return {"past": self._past.detach().clone(), "delay": self.delay.clone(), "zero": self.zero.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._past = snapshot["past"].clone()
        self.delay.copy_(snapshot["delay"])
        self.zero.copy_(snapshot["zero"])


class ActuatorModels:
    """The actuators of those commands of N robots that have models, by command; other commands arrive unchanged."""

    def __init__(
        self,
        models: tuple[ActuatorModel, ...],
        rest: Mapping[str, Tensor],
        period: float,
        num_worlds: int,
        substeps: int = 1,
    ) -> None:
        """`rest` gives each command's value [dim] before the first one arrives; the other arguments are as for
        `Actuator`."""
        unknown = [m.command for m in models if m.command not in rest]
        if unknown:
            raise ValueError(f"actuator models for {unknown}, which the robot does not take; it takes {sorted(rest)}")
        self._actuators = {m.command: Actuator(m, rest[m.command], period, num_worlds, substeps) for m in models}

    def __getitem__(self, command: str) -> Actuator:
        return self._actuators[command]

    def apply(self, commands: Commands) -> Commands:
        """What reaches the physics in this period: [N, dim] held, or [N, substeps, dim]; differentiable."""
        if not self._actuators:
            return commands
        return Commands({**commands, **{name: a.apply(commands[name]) for name, a in self._actuators.items()}})

    def restart(self, ids: Tensor) -> None:
        """Put the worlds `ids` [K] back at rest."""
        for actuator in self._actuators.values():
            actuator.restart(ids)

    def detach(self) -> None:
        """Cut the gradient's way into the past."""
        for actuator in self._actuators.values():
            actuator.detach()

    def snapshot(self) -> dict[str, Tensor]:
        return {f"{name}.{part}": t for name, a in self._actuators.items() for part, t in a.snapshot().items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for name, actuator in self._actuators.items():
            actuator.restore({part: snapshot[f"{name}.{part}"] for part in ("past", "delay", "zero")})
