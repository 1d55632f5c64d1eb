"""Action terms: ranges in SI units, permuted channels, poses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policies.signals import Sensors
from policies.terms.actions import PoseCommand, ScaledCommand, rotor_speed


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_rotor_speed_spans_its_range_and_no_more() -> None:
    term, maximum = rotor_speed(2272.6), 2272.6
    action = torch.tensor([[-1.0, 0.0, 1.0, 0.5], [-7.0, -1.0001, 1.0001, 7.0]])
    speed = term(term.bound(action), Sensors({}))["rotor_speed"]
    expected = maximum * torch.tensor([[0.0, 0.5, 1.0, 0.75], [0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(speed, expected)
    assert torch.equal(term.bound(action), action.clamp(-1.0, 1.0))


def test_permuted_actions_give_permuted_commands() -> None:
    term, action, order = ScaledCommand("effort", 4, 3.0, 1.0), random(8, 4), torch.tensor([3, 1, 0, 2])
    straight = term(action, Sensors({}))["effort"]
    assert torch.equal(term(action[:, order], Sensors({}))["effort"], straight[:, order])


def test_a_pose_command_adds_to_the_stance_within_its_scale() -> None:
    term = PoseCommand("target", (0.1, -0.2), (0.3, 0.5))
    action = torch.tensor([[2.0, -2.0], [0.5, 0.0]])
    bounded = term.bound(action)
    target = term(bounded, Sensors({}))["target"]
    torch.testing.assert_close(target, torch.tensor([[0.4, -0.7], [0.25, -0.2]]))
    with pytest.raises(ValueError, match="one scale per joint"):
        PoseCommand("target", (0.1, -0.2), (0.3,))
