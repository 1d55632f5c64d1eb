"""The critic: the value of the privileged observation, in the scale of the returns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from policies.networks.mlp import MLP, Activation
from policies.networks.normalizer import RunningNormalizer


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

    def forward(self, observation: Tensor) -> Tensor:
        return self.denormalised(self.of_normalised(self.normalizer(observation)))

    def of_normalised(self, seen: Tensor) -> Tensor:
        """The value of a normalised observation in spreads of the return from its mean: what the loss compares."""
        output: Tensor = self.network(seen)
        return output.squeeze(-1)

    def denormalised(self, value: Tensor) -> Tensor:
        """A value in the returns' own unit."""
        own: Tensor = self.value_mean + self.value_std * value
        return own

    def renormalised(self, value: Tensor) -> Tensor:
        """A value, or a return, in spreads of the return from its mean."""
        scaled: Tensor = (value - self.value_mean) / self.value_std
        return scaled

    @torch.no_grad()
    def rescale(self, count: Tensor, mean: Tensor, spread: Tensor) -> None:
        """Follow the returns' mean and spread (a tenth of the way each time) without changing any value. All are
        scalars; a `count` of returns below 2 changes nothing.
        """
        if float(count) < 2.0:
            return
        rate = 0.1 if bool(self.fitted) else 1.0
        new_mean = self.value_mean + rate * (mean.float() - self.value_mean)
        std = (self.value_std + rate * (spread.float() - self.value_std)).clamp_min(1e-3)
        last = self.network.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_(self.value_std / std)
        last.bias.copy_((self.value_std * last.bias + self.value_mean - new_mean) / std)
        self.value_mean.copy_(new_mean)
        self.value_std.copy_(std)
        self.fitted.fill_(True)
