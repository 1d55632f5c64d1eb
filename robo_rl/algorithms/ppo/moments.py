"""Means and variances over every process's samples, without non-finite rows, and symmetric under a mirror."""

from __future__ import annotations

import torch
from torch import Tensor

from policies.graph.symmetry import SignedPermutation
from policies.networks.normalizer import RunningNormalizer
from robo_rl.training.parallel import Processes


def mean_and_spread(values: Tensor, processes: Processes) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and standard deviation, float64 scalars, of the finite `values` of all processes."""
    finite = torch.isfinite(values)
    kept = torch.where(finite, values, 0.0).double()
    # Relative to a rough mean that all processes share, so that squares of large means cost no digits.
    first = processes.sum(torch.stack((finite.sum().double(), kept.sum())))
    middle = first[1] / first[0].clamp_min(1.0)
    squares = processes.sum(torch.where(finite, kept - middle, 0.0).square().sum())
    return first[0], middle, (squares / (first[0] - 1.0).clamp_min(1.0)).sqrt()


@torch.no_grad()
def update_normalizer(
    normalizer: RunningNormalizer,
    x: Tensor,
    good: Tensor | None,
    mirror: SignedPermutation | None,
    processes: Processes,
) -> None:
    """Merge observations `x` [T, N, D] of all processes, and their mirror images, into a normaliser's moments.

    `good` [T, N] leaves rows out. With the mirror images, the order of normalising and mirroring does not matter.
    """
    shifted = x - normalizer.mean.to(x.dtype)
    count = torch.tensor(float(x.shape[0] * x.shape[1]), dtype=torch.float64, device=x.device)
    if good is not None:
        shifted = torch.where(good[..., None], shifted, 0.0)
        count = good.sum().double()
    # In float32 over one step's worlds and in float64 over the steps: as good as float64 and several times as fast.
    sums = torch.stack((shifted.sum(1).double().sum(0), shifted.square().sum(1).double().sum(0)))
    packed = processes.sum(torch.cat((count[None], sums.flatten())))
    count, (total, squares) = packed[0], packed[1:].view(2, -1)
    if float(count) == 0.0:
        return
    mean, square = total / count, squares / count
    if mirror is not None:
        mean = 0.5 * (mean + mirror(mean))
        square = 0.5 * (square + square[list(mirror.source)])
    normalizer.merge(float(count), normalizer.mean + mean, (square - mean.square()).clamp_min(0.0))
