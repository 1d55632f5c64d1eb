"""Terms of robots that feel their joints: histories, the gait's clock, gravity, and pose commands."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.terms.observations import ActionHistory, Reading
from policies.terms.proprioception import Deviation, GaitClock, History, PoseCommand, ProjectedGravity
from policies.terms.rotation import rotate


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_gravity_in_the_body_frame_turns_back_to_straight_down() -> None:
    q = torch.nn.functional.normalize(random(100, 4), dim=-1)
    seen = ProjectedGravity()(Sensors({"orientation": q}), State({}))
    torch.testing.assert_close(rotate(q, seen), torch.tensor([0.0, 0.0, -1.0]).expand(100, 3), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(ProjectedGravity()(Sensors({"orientation": -q}), State({})), seen)


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


def test_a_term_is_reckoned_once_for_the_same_sensors_unless_gradients_are_recorded() -> None:
    calls = []

    def counted(sensors: Sensors, state: State) -> Tensor:
        calls.append(sensors)
        return sensors["a"] * 2.0

    first, second = Sensors({"a": random(4, 2)}), Sensors({"a": random(4, 2, seed=1)})
    with torch.no_grad():
        assert torch.equal(first.once(counted, State({})), first.once(counted, State({})))
        assert torch.equal(second.once(counted, State({})), second["a"] * 2.0)
        assert calls == [first, second]
    first["a"].requires_grad_()
    assert first.once(counted, State({})).requires_grad and len(calls) == 3


def test_a_history_refuses_terms_with_a_memory_of_their_own() -> None:
    with pytest.raises(ValueError, match="no state of their own"):
        History((ActionHistory(2, 1),), 2)
    with pytest.raises(ValueError, match="at least 1"):
        History((Reading("a", 1),), 0)


def test_the_clock_keeps_time_and_length_for_an_hour() -> None:
    term = GaitClock(2.5, 0.02)
    state = State({term.state: torch.tensor([[0.0, 1.0]])})
    for _ in range(20_000):
        state = State(term.advance(Sensors({}), state, torch.zeros(1, 1)))
    after = state[term.state][0]
    assert float(after.norm()) == pytest.approx(1.0, abs=1e-5)
    # 20 000 steps are 1000 whole strides.
    assert math.atan2(float(after[0]), float(after[1])) == pytest.approx(0.0, abs=0.01)


def test_a_pose_command_adds_to_the_stance_within_its_scale() -> None:
    term = PoseCommand("target", (0.1, -0.2), (0.3, 0.5))
    action = torch.tensor([[2.0, -2.0], [0.5, 0.0]])
    bounded = term.bound(action)
    target = term(bounded, Sensors({}))["target"]
    torch.testing.assert_close(target, torch.tensor([[0.4, -0.7], [0.25, -0.2]]))
    with pytest.raises(ValueError, match="one scale a joint"):
        PoseCommand("target", (0.1, -0.2), (0.3,))
