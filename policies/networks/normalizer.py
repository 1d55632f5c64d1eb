"""Running normaliser of observations, part of the policy graph: a robot needs no separate normaliser file."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningNormalizer(nn.Module):
    """(x - mean) / std of all observations given to `update`, clipped to +-`clip`: [N, dim] -> [N, dim].

    Moments are merged batch by batch (Chan, Golub and LeVeque's parallel variance) in float64. Before the first update
    it only clips its input.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, dim: int, clip: float = 10.0, epsilon: float = 1e-4) -> None:
        super().__init__()
        self.clip = clip
        self.epsilon = epsilon
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Merge the finite rows of a batch [N, dim] of observations into the moments."""
        x = x.detach().double()
        finite = x.isfinite().all(-1)
        x = x if bool(finite.all()) else x[finite]
        if not len(x):
            return
        self.merge(float(x.shape[0]), x.mean(0), x.var(0, unbiased=False))

    @torch.no_grad()
    def merge(self, count: float, mean: Tensor, variance: Tensor) -> None:
        """Merge the moments [dim], float64, of `count` further observations."""
        total = self.count + count
        delta = mean - self.mean
        merged = self.variance * self.count + variance * count + delta.square() * self.count * count / total
        self.mean += delta * count / total
        self.variance.copy_(merged / total)
        self.count.copy_(total)

    def inverse(self, x: Tensor) -> Tensor:
        """The input [N, dim] for which `forward` gives `x`, unless it was clipped."""
        scale = (self.variance + self.epsilon).sqrt().to(x.dtype)
        return x * scale + self.mean.to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(self.variance + self.epsilon).to(x.dtype)
        return ((x - self.mean.to(x.dtype)) * scale).clamp(-self.clip, self.clip)
