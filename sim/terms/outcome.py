"""The reward of a step and the episodes that it ended, by the terms of a task; and the contribution of each term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from policies.errors import UserError
from sim.terms.terms import Reward, Termination
from sim.terms.view import View


@dataclass(frozen=True)
class StepOutcome:
    """`reward` [N], and `terminated` [N] bool: worlds whose episode has come to a true end."""

    reward: Tensor
    terminated: Tensor


class RewardPass(Protocol):
    """Several reward terms in one pass over all worlds, as `sim.terms.compiled.CompiledRewards` is."""

    @property
    def names(self) -> tuple[str, ...]:
        """The terms that it computes."""
        ...

    @property
    def sums(self) -> Tensor:
        """The contribution of each term to the rewards [N, T], weighted, since the sums were last cleared."""
        ...

    def scale(self, factors: Mapping[str, float]) -> None:
        """Multiply the weights of its terms by those of `factors`, which may name others; 1 where none is given."""
        ...

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The sum of its terms [N]; 0 in `failed` worlds."""
        ...


class Outcomes:
    """Rewards and terminations of N worlds.

    A term that `compiled` names is computed there, every other one in torch on the scenario's view. If the physics can
    fail, the view holds `failed` [N] bool: these worlds have ended, and their reward is 0. Reward terms
    also find `terminated` [N] bool in it.
    """

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        terminations: Mapping[str, Termination],
        num_worlds: int,
        period: float,
        device: str,
        compiled: RewardPass | None = None,
    ) -> None:
        self._compiled = compiled
        done = () if compiled is None else compiled.names
        self._rewards = {name: term for name, term in rewards.items() if term.weight != 0.0 and name not in done}
        self._terminations = dict(terminations)
        self._period = period
        self._factors: Mapping[str, float] = {}
        self._steps = 0
        zeros = torch.zeros(num_worlds, device=device)
        self._zero = zeros.clone()
        self._nobody = zeros > 0.0
        self._sums = {name: zeros.clone() for name in self._rewards}
        self._ended = {name: zeros.clone() for name in self._terminations}

    def __call__(self, view: View, inputs: Mapping[str, Tensor] | None = None) -> StepOutcome:
        """The outcome of the step that the view shows; `inputs` are what the compiled terms read. They are 0 in worlds
        that `inputs` call `failed`; without that, in those that end.

        UserError that names the term when it gives another shape or type than it should, or what is not finite.
        """
        failed = view.get("failed")
        terminated = self._nobody if failed is None else failed
        for name, termination in self._terminations.items():
            ended = termination(view)
            if ended.dtype != torch.bool or ended.shape != self._zero.shape:
                raise UserError(f"termination {name} must give bool {list(self._zero.shape)}, got {_described(ended)}")
            self._ended[name] += ended
            terminated = terminated | ended
        reward = self._zero
        if self._compiled is not None:
            reward = self._compiled({"failed": terminated, **(inputs or {}), "terminated": terminated})
        if self._rewards:
            view = view.adding(terminated=terminated)
        for name, term in self._rewards.items():
            reward = reward + self._contribution(name, term, view, failed)
        self._steps += 1
        return StepOutcome(reward, terminated)

    def scale(self, factors: Mapping[str, float]) -> None:
        """Multiply the weights of the rewards named in `factors`; every other one has its own weight."""
        self._factors = factors
        if self._compiled is not None:
            self._compiled.scale(factors)

    def _contribution(self, name: str, term: Reward, view: View, failed: Tensor | None) -> Tensor:
        """What a term adds to the rewards [N]."""
        value: Tensor = term(view)
        if value.shape != self._zero.shape:
            raise UserError(f"reward {name} must give {list(self._zero.shape)}, got {_described(value)}")
        value = value * (term.weight * self._factors.get(name, 1.0) * self._period)
        if failed is not None:
            value = torch.where(failed, 0.0, value)
        if not bool(value.sum().isfinite()):
            # A world may have ended because its state is not finite.
            value = torch.where(view["terminated"] & ~value.isfinite(), 0.0, value)
        if not bool(value.sum().isfinite()):
            count = int((~value.isfinite()).sum())
            raise UserError(
                f"reward {name} is not finite in {count} of {len(value)} worlds; keep it finite in every state, such "
                "as by a lower bound on what it divides by"
            )
        self._sums[name] += value
        return value

    def metrics(self) -> dict[str, float]:
        """Means over worlds and steps since the last call, per second: of each reward term with its weight, and of how
        often each termination ended an episode."""
        sums = {f"reward/{name}": total.sum() for name, total in self._sums.items()}
        if self._compiled is not None:
            of_each = self._compiled.sums.sum(0)
            sums |= {f"reward/{name}": total for name, total in zip(self._compiled.names, of_each, strict=True)}
            self._compiled.sums.zero_()
        sums |= {f"termination/{name}": total.sum() for name, total in self._ended.items()}
        for total in (*self._sums.values(), *self._ended.values()):
            total.zero_()
        seconds = max(1, self._steps) * self._period * len(self._zero)
        self._steps = 0
        return {name: float(total) / seconds for name, total in sums.items()}


def _described(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
