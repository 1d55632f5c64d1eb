"""The running normaliser: moments of everything seen, however it was cut into batches."""

from __future__ import annotations

import torch

from policies.networks.normalizer import RunningNormalizer


def _data(rows: int = 400) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 5, generator=generator) * torch.tensor([1e-3, 1.0, 50.0, 2.0, 1.0]) + 3.0


def test_batches_merge_to_the_moments_of_the_whole() -> None:
    data = _data()
    whole, parts, shuffled = RunningNormalizer(5), RunningNormalizer(5), RunningNormalizer(5)
    whole.update(data)
    for batch in data.split([1, 7, 92, 300]):
        parts.update(batch)
    for batch in data.flip(0).split(100):
        shuffled.update(batch)
    exact = data.double()
    for normalizer in (whole, parts, shuffled):
        torch.testing.assert_close(normalizer.mean, exact.mean(0))
        torch.testing.assert_close(normalizer.variance, exact.var(0, unbiased=False))
        assert float(normalizer.count) == 400.0


def test_output_has_zero_mean_and_unit_spread() -> None:
    normalizer = RunningNormalizer(5)
    normalizer.update(_data())
    out = normalizer(_data())
    torch.testing.assert_close(out.mean(0), torch.zeros(5), atol=1e-4, rtol=0.0)
    # The first channel's variance is far below epsilon: its noise must not be blown up to unit size.
    torch.testing.assert_close(out[:, 1:].std(0, unbiased=False), torch.ones(4), atol=1e-3, rtol=0.0)
    assert float(out[:, 0].std()) < 0.2


def test_before_any_data_it_only_clips() -> None:
    x = torch.tensor([[0.5, -30.0, 30.0]])
    torch.testing.assert_close(
        RunningNormalizer(3, clip=10.0, epsilon=0.0)(x), torch.tensor([[0.5, -10.0, 10.0]]), rtol=0.0, atol=0.0
    )


def test_permuted_channels_give_permuted_outputs() -> None:
    order, data = torch.tensor([4, 2, 0, 1, 3]), _data()
    straight, permuted = RunningNormalizer(5), RunningNormalizer(5)
    straight.update(data)
    permuted.update(data[:, order])
    assert torch.equal(permuted(data[:, order]), straight(data)[:, order])


def test_updating_keeps_no_graph_and_state_survives_a_round_trip() -> None:
    normalizer, copy = RunningNormalizer(5), RunningNormalizer(5)
    normalizer.update(_data().requires_grad_())
    assert not normalizer.mean.requires_grad
    copy.load_state_dict(normalizer.state_dict())
    assert torch.equal(copy(_data()), normalizer(_data()))
