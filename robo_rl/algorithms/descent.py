"""Gradient steps on many small tensors at once: one flat tensor of weights, its gradient shared by threads and
processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from robo_rl.training.parallel import Processes

B = TypeVar("B")
Loss = Callable[[B], tuple[Tensor, dict[str, Tensor]]]
"""The loss of some rows, and its parts by name, scalars without gradient."""


class Descent(Generic[B]):
    """Adam on `parameters`, which become views of one flat tensor: a step, a gradient's norm and its sum over processes
    are one operation each."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float, processes: Processes, threads: int = 1
    ) -> None:
        self.parameters = list(parameters)
        self.weights = flatten(self.parameters)
        fused = self.weights.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam([self.weights], lr=learning_rate, fused=fused)
        self._processes = processes
        self._pool = ThreadPoolExecutor(threads, "update") if threads > 1 else None

    @property
    def learning_rate(self) -> float:
        """Adam's step size."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.optimizer.param_groups[0]["lr"] = value

    def gradient(self, loss: Loss[B], parts: Sequence[B], rows: Sequence[int]) -> tuple[Tensor, dict[str, float], str]:
        """The gradient of the mean loss over the `rows` of all `parts`, of all processes; the loss's parts by name; and
        the name of the first of them that is not finite, "gradient" if only that isn't, else "".

        Each part has a thread of its own: unlike torch's threads they meet once, and not in every operation.
        """
        shares = [count / sum(rows) for count in rows]

        def packed(part: B, share: float) -> tuple[Tensor, list[str]]:
            with torch.enable_grad():
                value, found = loss(part)
                gradients = torch.autograd.grad(value * share, self.parameters, materialize_grads=True)
            numbers = torch.stack(list(found.values())) * share
            return torch.cat([*(g.reshape(-1) for g in gradients), numbers]), list(found)

        done = list(map(packed, parts, shares) if self._pool is None else self._pool.map(packed, parts, shares))
        total, names = done[0]
        for other, _ in done[1:]:
            total += other
        total = self._processes.sum(total)
        size = self.weights.numel()
        gradient = total[:size].div_(self._processes.size)
        reported = dict(zip(names, (total[size:] / self._processes.size).tolist(), strict=True))
        fault = next((name for name, value in reported.items() if not math.isfinite(value)), "")
        norm = float(torch.linalg.vector_norm(gradient))
        return gradient, {**reported, "gradient_norm": norm}, fault or ("" if math.isfinite(norm) else "gradient")

    def step(self, gradient: Tensor, norm: float, max_norm: float) -> None:
        """One step of Adam along `gradient`, scaled down from its `norm` to `max_norm` at most."""
        self.weights.grad = gradient.mul_(min(1.0, max_norm / (norm + 1e-6)))
        self.optimizer.step()


def flatten(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """One tensor that holds all parameters, which become views of it."""
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    start = 0
    for p in parameters:
        p.data = flat[start : start + p.numel()].view_as(p)
        start += p.numel()
    return nn.Parameter(flat)
