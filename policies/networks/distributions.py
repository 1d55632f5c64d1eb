"""Distributions of normalised actions in [-1, 1]: sampled during training; the deployed policy takes the mode.

Both are diagonal Gaussians in a latent space, bounded in one of two ways: by tanh, with the exact density of the
result, or by the actuators' own clipping, where the density remains the Gaussian's. All tensors are [N, A];
log-probabilities and entropies are [N], in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LOG_2 = math.log(2.0)
_EDGE = 1.0 - 1e-6
"""Actions are clamped to this magnitude before atanh: in float32, tanh is exactly 1 beyond 9."""


@dataclass(frozen=True)
class TanhGaussian:
    """tanh(u), u ~ N(mean, exp(log_std)^2): strictly inside (-1, 1), with its exact density."""

    mean: Tensor
    log_std: Tensor

    @property
    def deployed(self) -> Tensor:
        """The action a deployed policy takes: tanh(mean), the median of every channel."""
        return torch.tanh(self.mean)

    def sample(self, generator: torch.Generator | None = None, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """An action [N, A] and its latent value u [N, A], differentiable in mean and log_std.

        `noise` [N, A], standard normal, replaces the draw.
        """
        latent = _draw(self.mean, self.log_std, generator, noise)
        return torch.tanh(latent), latent

    def log_prob(self, action: Tensor, latent: Tensor | None = None) -> Tensor:
        """Log-density [N] of `action`. Pass the `latent` that `sample` returned if you have it: a saturated tanh loses
        digits that atanh can't recover."""
        if latent is None:
            latent = torch.atanh(action.clamp(-_EDGE, _EDGE))
        return (_normal(latent, self.mean, self.log_std) - log_tanh_slope(latent)).sum(-1)

    def entropy(self, generator: torch.Generator | None = None, noise: Tensor | None = None) -> Tensor:
        """A one-sample estimate [N] of the entropy, unbiased and differentiable; there is no closed form."""
        latent = _draw(self.mean, self.log_std, generator, noise)
        return (_normal_entropy(self.log_std) + log_tanh_slope(latent)).expand_as(self.mean).sum(-1)


@dataclass(frozen=True)
class ClippedGaussian:
    """u ~ N(mean, exp(log_std)^2), executed as clip(u, -1, 1).

    Training uses u itself, so the density is the Gaussian's: clipping is part of the world, like an actuator's limits.
    """

    mean: Tensor
    log_std: Tensor

    @property
    def deployed(self) -> Tensor:
        """The action a deployed policy takes: the mean, clipped to [-1, 1]."""
        return self.mean.clamp(-1.0, 1.0)

    def sample(self, generator: torch.Generator | None = None, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """An action in [-1, 1] [N, A] and its latent value u [N, A], which is what log_prob takes."""
        latent = _draw(self.mean, self.log_std, generator, noise)
        return latent.clamp(-1.0, 1.0), latent

    def log_prob(self, action: Tensor, latent: Tensor | None = None) -> Tensor:
        """Log-density [N] of the latent value, or, without one, of `action` as if it was not clipped."""
        return _normal(action if latent is None else latent, self.mean, self.log_std).sum(-1)

    def entropy(self, generator: torch.Generator | None = None, noise: Tensor | None = None) -> Tensor:
        """The exact entropy [N] of the latent Gaussian; neither `generator` nor `noise` is used."""
        return _normal_entropy(self.log_std).expand_as(self.mean).sum(-1)


ActionDistribution = TanhGaussian | ClippedGaussian


def log_tanh_slope(latent: Tensor) -> Tensor:
    """log(1 - tanh(u)^2) of each channel, exact even where 1 - tanh(u)^2 rounds to zero.

    The identity 2 (log 2 - u - softplus(-2 u)) is evaluated at |u|: the slope is even, and softplus is small there.
    """
    magnitude = latent.abs()
    return 2.0 * (_LOG_2 - magnitude - softplus(-2.0 * magnitude))


def gaussian_kl(old_mean: Tensor, old_log_std: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(old || new) [N] in nats between the latent Gaussians; tanh is invertible and does not change it."""
    ratio = (2.0 * (old_log_std - log_std)).exp()
    shift = ((old_mean - mean) / log_std.exp()).square()
    return (0.5 * (ratio + shift - 1.0) + log_std - old_log_std).sum(-1)


def _draw(mean: Tensor, log_std: Tensor, generator: torch.Generator | None, noise: Tensor | None) -> Tensor:
    if noise is None:
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return mean + log_std.exp() * noise


def _normal(x: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    return -0.5 * ((x - mean) * (-log_std).exp()).square() - log_std - _HALF_LOG_2PI


def _normal_entropy(log_std: Tensor) -> Tensor:
    return log_std + 0.5 + _HALF_LOG_2PI
