"""Distributions: exact densities, saturated actions, entropies and divergences."""

from __future__ import annotations

import math

import pytest
import torch

from policies.networks.distributions import (
    ActionDistribution,
    ClippedGaussian,
    TanhGaussian,
    gaussian_kl,
    log_tanh_slope,
)


def _parameters(rows: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    mean = torch.tensor([[0.4, -0.9]], dtype=torch.float64).repeat(rows, 1)
    return mean, torch.tensor([math.log(0.5), math.log(0.8)], dtype=torch.float64)


def test_tanh_density_integrates_to_one() -> None:
    mean, log_std = _parameters()
    grid = torch.linspace(-1 + 1e-6, 1 - 1e-6, 20001, dtype=torch.float64)
    for channel in range(2):
        one = TanhGaussian(mean[:, channel : channel + 1], log_std[channel : channel + 1])
        density = one.log_prob(grid[:, None]).exp()
        assert torch.trapezoid(density, grid).item() == pytest.approx(1.0, abs=1e-3)


def test_tanh_log_prob_equals_the_change_of_variables_of_torch() -> None:
    mean, log_std = _parameters(64)
    action, latent = TanhGaussian(mean, log_std).sample(torch.Generator().manual_seed(0))
    base = torch.distributions.Normal(mean, log_std.exp())
    reference = torch.distributions.TransformedDistribution(
        base, [torch.distributions.TanhTransform(cache_size=1)], validate_args=False
    )
    expected = reference.log_prob(action).sum(-1)
    torch.testing.assert_close(TanhGaussian(mean, log_std).log_prob(action, latent), expected)
    torch.testing.assert_close(TanhGaussian(mean, log_std).log_prob(action), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [-30.0, -12.0, 12.0, 30.0])
def test_tanh_log_prob_stays_exact_where_float32_saturates(value: float) -> None:
    latent = torch.tensor([[value]], requires_grad=True)
    slope = log_tanh_slope(latent)
    slope.sum().backward()
    # 1 - tanh(u)^2 tends to 4 exp(-2 |u|), which float32 can't form as a difference from 1.
    assert slope.item() == pytest.approx(math.log(4.0) - 2.0 * abs(value), rel=1e-6)
    assert latent.grad is not None
    assert latent.grad.item() == pytest.approx(-2.0 * math.copysign(1.0, value), rel=1e-5)


def test_tanh_entropy_estimate_agrees_with_the_integral() -> None:
    mean, log_std = _parameters(40000)
    grid = torch.linspace(-1 + 1e-6, 1 - 1e-6, 20001, dtype=torch.float64)
    exact = 0.0
    for channel in range(2):
        log_density = TanhGaussian(mean[:1, channel, None], log_std[channel, None]).log_prob(grid[:, None])
        exact -= torch.trapezoid(log_density.exp() * log_density, grid).item()
    estimate = TanhGaussian(mean, log_std).entropy(torch.Generator().manual_seed(1))
    assert estimate.shape == (40000,)
    assert estimate.mean().item() == pytest.approx(exact, abs=0.02)


def test_clipped_gaussian_scores_what_was_drawn_and_executes_it_clipped() -> None:
    mean, log_std = _parameters(256)
    distribution = ClippedGaussian(mean, log_std)
    action, latent = distribution.sample(torch.Generator().manual_seed(2))
    assert (latent.abs() > 1.0).any()
    assert torch.equal(action, latent.clamp(-1.0, 1.0))
    normal = torch.distributions.Normal(mean, log_std.exp())
    torch.testing.assert_close(distribution.log_prob(action, latent), normal.log_prob(latent).sum(-1))
    torch.testing.assert_close(distribution.entropy(), normal.entropy().sum(-1))


@pytest.mark.parametrize("kind", [TanhGaussian, ClippedGaussian])
def test_samples_repeat_with_their_generator_and_carry_gradients(kind: type[ActionDistribution]) -> None:
    mean, log_std = (x.clone().requires_grad_() for x in _parameters(8))
    first, _ = kind(mean, log_std).sample(torch.Generator().manual_seed(3))
    second, _ = kind(mean, log_std).sample(torch.Generator().manual_seed(3))
    other, _ = kind(mean, log_std).sample(torch.Generator().manual_seed(4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert bool((first.abs() <= 1.0).all())
    first.sum().backward()
    assert mean.grad is not None
    assert log_std.grad is not None
    assert float(log_std.grad.abs().sum()) > 0.0


def test_the_deployed_action_is_what_no_noise_gives() -> None:
    mean = torch.tensor([[0.3, 2.0]])
    silent = torch.full((2,), -40.0)
    for kind in (TanhGaussian, ClippedGaussian):
        action, _ = kind(mean, silent).sample()
        torch.testing.assert_close(action, kind(mean, silent).deployed)


def test_kl_equals_torchs_and_vanishes_for_equals() -> None:
    mean, log_std = _parameters(4)
    moved, wider = mean + 0.2, log_std + 0.1
    p, q = (torch.distributions.Normal(m, s.exp()) for m, s in ((mean, log_std), (moved, wider)))
    expected = torch.distributions.kl_divergence(p, q).sum(-1)
    torch.testing.assert_close(gaussian_kl(mean, log_std, moved, wider), expected)
    assert float(gaussian_kl(mean, log_std, mean, log_std).abs().max()) == 0.0
