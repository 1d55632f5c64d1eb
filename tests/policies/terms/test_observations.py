"""Observation terms without state: clipping, targets, permuted channels, gravity."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.terms.observations import ClippedError, ProjectedGravity, Reading
from tests.quaternions import rotate


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_clipped_error_is_odd_bounded_and_relative_to_its_target() -> None:
    position, target = 3.0 * random(64, 3), random(64, 3, seed=1)
    term = ClippedError("position", 0.6, target="target_position")
    sensors = Sensors({"position": position, "target_position": target})
    swapped = Sensors({"position": target, "target_position": position})
    value = term(sensors, State({}))
    assert torch.equal(value, -term(swapped, State({})))
    assert float(value.abs().max()) == pytest.approx(0.6)
    inside = (position - target).abs() < 0.6
    torch.testing.assert_close(value[inside], (position - target)[inside])
    assert term.sensors == ("position", "target_position")


@pytest.mark.parametrize("term", [Reading("gyro", 3, scale=0.1), ClippedError("gyro", 1.0)])
def test_permuted_channels_give_permuted_observations(term: Reading | ClippedError) -> None:
    value, order = random(16, 3), torch.tensor([2, 0, 1])
    straight = term(Sensors({"gyro": value}), State({}))
    assert torch.equal(term(Sensors({"gyro": value[:, order]}), State({})), straight[:, order])


def test_gravity_in_the_body_frame_turns_back_to_straight_down() -> None:
    q = torch.nn.functional.normalize(random(100, 4), dim=-1)
    seen = ProjectedGravity()(Sensors({"orientation": q}), State({}))
    torch.testing.assert_close(rotate(q, seen), torch.tensor([0.0, 0.0, -1.0]).expand(100, 3), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(ProjectedGravity()(Sensors({"orientation": -q}), State({})), seen)
