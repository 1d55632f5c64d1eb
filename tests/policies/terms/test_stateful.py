"""Terms with a state: histories as shift registers, integral, rate of change, gait clock."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.terms.observations import Deviation, Reading
from policies.terms.stateful import ActionHistory, ErrorIntegral, GaitClock, History, RateOfChange

ACTION = torch.zeros(2, 4)


def start(term: ErrorIntegral | RateOfChange) -> State:
    return State({s.name: torch.full((2, s.dim), 0.0) for s in term.states})


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_action_history_after_k_steps_is_shifted_by_k() -> None:
    term, actions = ActionHistory(length=5, action_dim=2), random(12, 3, 2)
    state = State({"action_history": torch.zeros(3, 10)})
    for action in actions:
        state = State(term.advance(Sensors({}), state, action))
    kept = term(Sensors({}), state).reshape(3, 5, 2)
    for age in range(5):
        assert torch.equal(kept[:, 4 - age], actions[11 - age])


def test_a_longer_history_ends_with_a_shorter_one() -> None:
    long, short, actions = ActionHistory(8, 2), ActionHistory(3, 2), random(10, 4, 2)
    a, b = State({"action_history": torch.zeros(4, 16)}), State({"action_history": torch.zeros(4, 6)})
    for action in actions:
        a, b = (State(t.advance(Sensors({}), s, action)) for t, s in ((long, a), (short, b)))
    assert torch.equal(a["action_history"][:, -6:], b["action_history"])


def test_action_history_needs_a_length() -> None:
    with pytest.raises(ValueError, match="length must be at least 1"):
        ActionHistory(0, 4)


def test_a_history_holds_the_last_steps_oldest_first_and_nothing_from_before_a_reset() -> None:
    term = History((Reading("a", 2), Deviation("b", (0.5, 1.5, 2.5))), 3)
    a, b = random(8, 4, 2), random(8, 4, 3, seed=1)
    state = State({term.state: torch.zeros(4, term.dim)})
    for t in range(8):
        sensors = Sensors({"a": a[t], "b": b[t]})
        seen = term(sensors, state).view(4, 3, 5)
        for back in range(1, 4):
            wanted = torch.zeros(4, 5)
            if t >= back:
                wanted = torch.cat((a[t - back], b[t - back] - torch.tensor([0.5, 1.5, 2.5])), -1)
            torch.testing.assert_close(seen[:, 3 - back], wanted)
        state = State(term.advance(sensors, state, torch.zeros(4, 1)))


def test_a_history_refuses_terms_with_a_memory_of_their_own() -> None:
    with pytest.raises(ValueError, match="no state of their own"):
        History((ActionHistory(2, 1),), 2)
    with pytest.raises(ValueError, match="at least 1"):
        History((Reading("a", 1),), 0)


def test_the_integral_adds_error_times_period_and_stops_at_its_limit() -> None:
    term = ErrorIntegral("position", "target_position", limit=0.05, scale=5.0, period=0.1)
    sensors = Sensors({"position": torch.full((2, 3), 0.3), "target_position": torch.full((2, 3), 0.1)})
    state = start(term)
    seen = []
    for _ in range(5):
        seen.append(float(term(sensors, state)[0, 0]))
        state = State(term.advance(sensors, state, ACTION))
    torch.testing.assert_close(torch.tensor(seen), torch.tensor([0.0, 0.1, 0.2, 0.25, 0.25]))


def test_the_rate_of_a_ramp_is_its_slope_from_the_second_step_on() -> None:
    term = RateOfChange("target_velocity", limit=10.0, scale=0.5, period=0.01)
    state = start(term)
    seen = []
    for t in range(4):
        sensors = Sensors({"target_velocity": torch.full((2, 3), 2.0 + 0.04 * t)})
        seen.append(float(term(sensors, state)[1, 2]))
        state = State(term.advance(sensors, state, ACTION))
    torch.testing.assert_close(torch.tensor(seen), torch.tensor([0.0, 2.0, 2.0, 2.0]), atol=1e-3, rtol=0.0)


def test_a_jump_of_the_sensor_is_clipped() -> None:
    term = RateOfChange("target_velocity", limit=10.0, scale=0.5, period=0.01)
    state = State(term.advance(Sensors({"target_velocity": torch.zeros(2, 3)}), start(term), ACTION))
    assert float(term(Sensors({"target_velocity": torch.full((2, 3), 9.0)}), state).max()) == 5.0


def test_the_clock_keeps_time_and_length_for_an_hour() -> None:
    term = GaitClock(2.5, 0.02)
    state = State({term.state: torch.tensor([[0.0, 1.0]])})
    for _ in range(20_000):
        state = State(term.advance(Sensors({}), state, torch.zeros(1, 1)))
    after = state[term.state][0]
    assert float(after.norm()) == pytest.approx(1.0, abs=1e-5)
    # 20 000 steps are 1000 whole strides.
    assert math.atan2(float(after[0]), float(after[1])) == pytest.approx(0.0, abs=0.01)
