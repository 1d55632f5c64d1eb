"""The critic: the value of what a simulator knows, in the returns' own scale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.networks import MLP, Activation
from policies.normalizer import RunningNormalizer


class Critic(nn.Module):
    """The value [N] of a privileged observation [N, dim], with its own normaliser and a rescaled output."""

    value_mean: Tensor
    value_std: Tensor
    fitted: Tensor

    def __init__(self, dim: int, hidden: tuple[int, ...], activation: Activation) -> None:
        super().__init__()
        self.normalizer = RunningNormalizer(dim)
        self.network = MLP(dim, hidden, 1, activation, output_gain=1.0)
        self.register_buffer("value_mean", torch.zeros(()))
        self.register_buffer("value_std", torch.ones(()))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def normalised(self, observation: Tensor) -> Tensor:
        """The value in spreads of the return from its mean: what the loss compares."""
        output: Tensor = self.network(self.normalizer(observation))
        return output.squeeze(-1)

    def forward(self, observation: Tensor) -> Tensor:
        value: Tensor = self.value_mean + self.value_std * self.normalised(observation)
        return value

    @torch.no_grad()
    def rescale(self, returns: Tensor) -> None:
        """Follow the returns' mean and spread (a tenth of the way each time) and leave every value as it was."""
        returns = returns[torch.isfinite(returns)]
        if returns.numel() < 2:
            return
        rate = 0.1 if bool(self.fitted) else 1.0
        mean = self.value_mean + rate * (returns.mean() - self.value_mean)
        std = (self.value_std + rate * (returns.std() - self.value_std)).clamp_min(1e-3)
        last = self.network.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(self.value_std / std)
        last.bias.copy_((self.value_std * last.bias + self.value_mean - mean) / std)
        self.value_mean.copy_(mean)
        self.value_std.copy_(std)
        self.fitted.fill_(True)


def update_from_finite(normalizer: nn.Module, observation: Tensor) -> None:
    """Merge the finite rows of `observation` [B, dim] into a normaliser: one broken world must not poison it."""
    assert isinstance(normalizer, RunningNormalizer)
    finite = observation[torch.isfinite(observation).all(-1)]
    if finite.shape[0]:
        normalizer.update(finite)
