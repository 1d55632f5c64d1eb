"""Observation and action terms: clipping, targets, history as a shift register, bounds in SI units."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policies.signals import Sensors, State, Truth
from policies.terms.actions import ScaledCommand, rotor_speed
from policies.terms.observations import ActionHistory, ClippedError, Reading


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_history_after_k_steps_is_shifted_by_k() -> None:
    term, actions = ActionHistory(length=5, action_dim=2), _random(12, 3, 2)
    state = State({"action_history": torch.zeros(3, 10)})
    for action in actions:
        state = State(term.advance(Sensors({}), state, action))
    kept = term(Sensors({}), state).reshape(3, 5, 2)
    for age in range(5):
        assert torch.equal(kept[:, 4 - age], actions[11 - age])


def test_a_longer_history_ends_with_a_shorter_one() -> None:
    long, short, actions = ActionHistory(8, 2), ActionHistory(3, 2), _random(10, 4, 2)
    a, b = State({"action_history": torch.zeros(4, 16)}), State({"action_history": torch.zeros(4, 6)})
    for action in actions:
        a, b = (State(t.advance(Sensors({}), s, action)) for t, s in ((long, a), (short, b)))
    assert torch.equal(a["action_history"][:, -6:], b["action_history"])


def test_history_needs_a_length() -> None:
    with pytest.raises(ValueError, match="length must be at least 1"):
        ActionHistory(0, 4)


def test_clipped_error_is_odd_bounded_and_relative_to_its_target() -> None:
    position, target = 3.0 * _random(64, 3), _random(64, 3, seed=1)
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
    value, order = _random(16, 3), torch.tensor([2, 0, 1])
    straight = term(Sensors({"gyro": value}), State({}))
    assert torch.equal(term(Sensors({"gyro": value[:, order]}), State({})), straight[:, order])


def test_rotor_speed_spans_its_range_and_no_more() -> None:
    term, maximum = rotor_speed(2272.6), 2272.6
    action = torch.tensor([[-1.0, 0.0, 1.0, 0.5], [-7.0, -1.0001, 1.0001, 7.0]])
    speed = term(term.bound(action), Sensors({}))["rotor_speed"]
    expected = maximum * torch.tensor([[0.0, 0.5, 1.0, 0.75], [0.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(speed, expected)
    assert torch.equal(term.bound(action), action.clamp(-1.0, 1.0))


def test_permuted_actions_give_permuted_commands() -> None:
    term, action, order = ScaledCommand("effort", 4, 3.0, 1.0), _random(8, 4), torch.tensor([3, 1, 0, 2])
    straight = term(action, Sensors({}))["effort"]
    assert torch.equal(term(action[:, order], Sensors({}))["effort"], straight[:, order])


def test_a_missing_signal_is_named_beside_those_there_are() -> None:
    with pytest.raises(KeyError, match="no sensors named 'sonar'; there are: gyro, imu"):
        Sensors({"imu": torch.zeros(1), "gyro": torch.zeros(1)})["sonar"]
    with pytest.raises(KeyError, match="no truth named 'mass'; there are: none"):
        Truth({})["mass"]
