"""What PPO's losses are computed from: some rows of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Minibatch:
    """Rows of a rollout: [B, dim] or [B], and [T, B, dim] or [T, B] for a recurrent network, whose rows are worlds.

    Observations are as the networks see them, normalised. `latent` is the Gaussian draw behind the action that was
    executed, `mean` and `log_std` [A] are that Gaussian's. `target` and `value` are in spreads of the return from its
    mean. `original` is 1, and 0 for a mirror image. `past` is a history network's memory, `memory` and `done` what a
    recurrent network unrolls from; `noise` is standard normal, for the entropy; `extra` are an extension's columns.
    """

    observation: Tensor
    critic_observation: Tensor
    past: Tensor
    action: Tensor
    latent: Tensor
    log_probability: Tensor
    mean: Tensor
    log_std: Tensor
    value: Tensor
    advantage: Tensor
    target: Tensor
    original: Tensor
    noise: Tensor | None
    extra: Mapping[str, Tensor]
    memory: Tensor | None = None
    mirrored_memory: Tensor | None = None
    done: Tensor | None = None
