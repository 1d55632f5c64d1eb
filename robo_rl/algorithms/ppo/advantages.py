"""Advantages: how much better the actions were than the critic expected."""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, discount: float, decay: float
) -> Tensor:
    """Advantages [T, N]: the sum over k of (discount * decay)^k times the k-th temporal difference to come.

    `next_value` [T, N] is the value of what followed each step: 0 after a true end, that of the observation before the
    reset after a time-out. `done` [T, N] is true at both, and nothing is summed beyond it.

    Ref: Schulman et al., "High-dimensional continuous control using generalized advantage estimation", arXiv
    1506.02438.
    """
    advantage = torch.zeros_like(reward)
    following = torch.zeros_like(reward[0])
    difference = reward + discount * next_value - value
    carried = discount * decay * (~done).to(reward.dtype)
    for t in range(reward.shape[0] - 1, -1, -1):
        # A world with a non-finite value must not affect the steps before its reset: 0 times infinity is NaN.
        following = difference[t] + torch.where(done[t], 0.0, carried[t] * following)
        advantage[t] = following
    return advantage
