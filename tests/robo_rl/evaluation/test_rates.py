"""Policies called faster than they were trained, in simulation: the worlds are the same, stepped finer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.signals import Commands
from robo_rl.evaluation.flying import Calls, evaluate
from robo_rl.evaluation.registry import evaluate_policy
from sim.environment import VectorEnvironment
from sim.tasks import find_task
from tests.robo_rl.tiny_environment import point_task

HOVER = find_task("crazyflie-hover")


class Hover(nn.Module):
    """A fixed normalised action, near enough to what keeps the height, whatever is seen."""

    def forward(self, observation: Tensor) -> Tensor:
        return observation[:, :4] * 0.0 + 0.33


def _fall(substeps: int, periods: int) -> Tensor:
    """Where 8 worlds are after some control periods with one command, [8, 3] m."""
    environment = HOVER.stepped(substeps).make_environment(8, 5, imperfections=0.0)
    assert isinstance(environment, VectorEnvironment)
    environment.reset()
    commands = Commands({"rotor_speed": torch.full((8, 4), 1500.0)})
    for _ in range(periods * substeps):
        step = environment.step(commands)
    return step.terminal_truth["position"]


def test_finer_steps_of_the_same_worlds_lead_to_the_same_places() -> None:
    torch.testing.assert_close(_fall(5, 10), _fall(1, 10), atol=2e-4, rtol=0.0)


def test_a_stepped_task_lasts_as_long() -> None:
    fast = HOVER.stepped(5)
    assert fast.period * fast.episode_steps == pytest.approx(HOVER.period * HOVER.episode_steps)
    assert HOVER.stepped(1) is HOVER


def test_an_evaluation_at_a_faster_rate_is_of_the_same_measures() -> None:
    graph = HOVER.policy_graph(Hover())
    slow, fast = evaluate(graph, HOVER, 40), evaluate(graph, HOVER, 40, calls=Calls(4))
    # A policy that looks at nothing does the same at any rate, but for what the finer physics makes of it.
    assert fast.survived.tolist() == slow.survived.tolist()
    assert fast.episode_return.value == pytest.approx(slow.episode_return.value, rel=0.1)


def test_a_history_that_is_shifted_in_every_call_is_another_policy() -> None:
    class Recall(nn.Module):
        """Acts by the oldest action it remembers."""

        def forward(self, observation: Tensor) -> Tensor:
            return 0.4 - 0.2 * (observation[:, -128:-124] == 0.0).float()

    graph = HOVER.policy_graph(Recall())
    kept, naive = (
        evaluate(graph, HOVER, 20, imperfections=0.0, calls=Calls(4, keeps)).episode_return.value
        for keeps in (True, False)
    )
    once = evaluate(graph, HOVER, 20, imperfections=0.0).episode_return.value
    assert abs(kept - once) < 0.2 * abs(naive - once)


@pytest.mark.parametrize("walking", [True, False])
def test_a_task_whose_physics_moves_in_whole_periods_says_so(walking: bool) -> None:
    task = find_task("go1-velocity-flat") if walking else point_task()
    graph = task.policy_graph(nn.Linear(task.observation_dim, task.action.dim))
    with pytest.raises(UserError, match=f"{task.name} is stepped at its own .* Hz only: .* take a quadrotor task"):
        evaluate_policy(graph, task, 4, calls=Calls(2))
