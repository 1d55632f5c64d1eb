"""Reward terms in one pass over all worlds: Warp functions behind the names of torch functions.

In torch a term takes several operations over all worlds, and a task of walking has twenty terms. A compiled counterpart
says the same in Warp's own language; which terms have one decides how fast a task is, never what it may say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sim.physics.passes import StructPass
from sim.terms.kernels import reward_kernel
from sim.terms.terms import Reward


class CompiledRewards:
    """The terms among `rewards` that have a weight and whose function is one of `counterparts`, in one pass.

    `counterparts` gives the Warp function for a torch function (see `sim.terms.kernels.reward_kernel`), `struct` what
    it reads, `constant` the part of that which stays. Parameters must be numbers.
    """

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        counterparts: Mapping[Callable[..., Tensor], Any],
        struct: Any,
        constant: Mapping[str, Any],
        num_worlds: int,
        period: float,
        device: str,
        contiguous: bool = True,
    ) -> None:
        terms = {name: term for name, term in rewards.items() if term.weight != 0.0 and term.function in counterparts}
        self.names = tuple(terms)
        self.sums = torch.zeros(num_worlds, len(terms), device=device)
        values: list[float] = []
        offsets: list[int] = []
        for term in terms.values():
            offsets.append(len(values))
            values += map(float, term.parameters.values())
        kernel = _kernel(struct, tuple(counterparts[term.function] for term in terms.values()), tuple(offsets))
        constant = {**constant, "parameters": torch.tensor(values or [0.0], device=device)}
        weights = torch.tensor([term.weight * period for term in terms.values()] or [0.0], device=device)
        self._weights, self._whole = weights, weights.clone()
        self._pass = StructPass(
            kernel, struct, num_worlds, device, constant, fixed=(weights, self.sums), results=("reward",),
            contiguous=contiguous,
        )  # fmt: skip

    def scale(self, factors: Mapping[str, float]) -> None:
        """Multiply the weights of its terms by those of `factors`, which may name others; 1 where none is given."""
        if self.names:
            each = self._whole.new_tensor([factors.get(name, 1.0) for name in self.names])
            self._weights.copy_(self._whole * each)

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The sum of the terms [N], weighted; `inputs` has at least what is in the struct and not constant."""
        reward = self.sums.new_empty(len(self.sums))
        self._pass({**inputs, "reward": reward})
        return reward


@cache
def _kernel(struct: Any, functions: tuple[Any, ...], offsets: tuple[int, ...]) -> Any:
    return reward_kernel(struct, functions, offsets)
