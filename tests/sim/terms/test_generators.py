"""Random generators that go on from a checkpoint, also from one of another kind of device."""

from __future__ import annotations

import torch

from sim.terms.generators import restore_generator


def drawn_after(state: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    restore_generator(generator, state)
    return torch.rand(8, generator=generator)


def test_a_generator_goes_on_exactly_on_its_own_kind_of_device() -> None:
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    state = generator.get_state()
    assert torch.equal(drawn_after(state), torch.rand(8, generator=generator))


def test_the_state_of_another_kind_of_device_decides_what_is_drawn() -> None:
    one, other = torch.arange(16, dtype=torch.uint8), torch.arange(1, 17, dtype=torch.uint8)
    assert torch.equal(drawn_after(one), drawn_after(one.clone()))
    assert not torch.equal(drawn_after(one), drawn_after(other))
    # Not what the training began with, which would repeat its first draws.
    assert not torch.equal(drawn_after(one), torch.rand(8, generator=torch.Generator().manual_seed(0)))
