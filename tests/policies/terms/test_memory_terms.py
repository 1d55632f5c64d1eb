"""Observation terms with a memory: the integral and the rate of change."""

from __future__ import annotations

import torch

from policies.signals import Sensors, State
from policies.terms.observations import ErrorIntegral, RateOfChange

ACTION = torch.zeros(2, 4)


def start(term: ErrorIntegral | RateOfChange) -> State:
    return State({s.name: torch.full((2, s.dim), 0.0) for s in term.states})


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
