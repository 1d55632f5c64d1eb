"""The flight trainer: it learns, resumes bit for bit in both phases, and refuses what it can't train."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from policies.errors import UserError
from robo_rl.algorithms.flight import FlightConfig, FlightTrainer
from robo_rl.evaluation.flying import evaluate
from sim.controllers.teacher import LearnedTeacher
from sim.tasks import find_task
from tests.robo_rl.tiny_environment import point_task

HOVER = find_task("crazyflie-hover")
SMALL = FlightConfig(
    warm_up_iterations=3, warm_up_worlds=64, warm_up_updates=10, warm_up_batch=256, iterations=4, worlds=16, horizon=20
)


def weights(trainer: FlightTrainer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainer.graph.parameters()]


@pytest.mark.parametrize("task", ["crazyflie-hover", "crazyflie-track"])
@pytest.mark.parametrize("stop", [2, 3, 5])
def test_resumed_equals_uninterrupted_in_both_phases(task: str, stop: int) -> None:
    straight = FlightTrainer(SMALL, find_task(task), seed=3)
    metrics = [straight.iterate() for _ in range(straight.total_iterations)]
    first = FlightTrainer(SMALL, find_task(task), seed=3)
    for _ in range(stop):
        first.iterate()
    saved = first.state_dict()
    torch.manual_seed(99)
    second = FlightTrainer(SMALL, find_task(task), seed=3)
    second.load_state_dict(saved)
    assert [second.iterate() for _ in range(second.total_iterations - stop)] == metrics[stop:]
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(second), strict=True))
    assert straight.steps == second.steps


def test_a_teacher_of_any_vehicle_reads_the_truth_and_resumes_in_both_phases() -> None:
    task, config = find_task("quadrotor-any"), replace(SMALL, reads="truth", hidden=(16,))
    straight = FlightTrainer(config, task, seed=3)
    metrics = [straight.iterate() for _ in range(straight.total_iterations)]
    assert isinstance(straight.graph, LearnedTeacher)
    assert straight.graph.observation_dim == task.observation_dim + task.critic_dim
    assert metrics[2]["imitation_loss"] < metrics[0]["imitation_loss"]
    for stop in (2, 5):
        first, second = (FlightTrainer(config, task, seed=3) for _ in range(2))
        for _ in range(stop):
            first.iterate()
        second.load_state_dict(first.state_dict())
        assert [second.iterate() for _ in range(second.total_iterations - stop)] == metrics[stop:]
    assert all(torch.equal(a, b) for a, b in zip(weights(straight), weights(second), strict=True))


def test_a_vehicle_fails_beyond_its_own_bound() -> None:
    """The barrier and the failures of a training follow the vehicle's size, not one distance for all."""
    task = find_task("quadrotor-any").with_settings({"terminations": {"astray": {"arms": 1.0}}})
    trainer = FlightTrainer(replace(SMALL, reads="truth", warm_up_iterations=0, iterations=1), task, seed=0)
    assert trainer.iterate()["failed_share"] > 0.5
    wide = task.with_settings({"terminations": {"astray": {"arms": 200.0}}})
    trainer = FlightTrainer(replace(SMALL, reads="truth", warm_up_iterations=0, iterations=1), wide, seed=0)
    assert trainer.iterate()["failed_share"] == 0.0


def test_seeds_differ() -> None:
    a, b = FlightTrainer(SMALL, HOVER, seed=0), FlightTrainer(SMALL, HOVER, seed=1)
    assert not torch.equal(weights(a)[0], weights(b)[0])


def test_a_short_training_keeps_most_vehicles_in_the_air() -> None:
    config = replace(FlightConfig(), warm_up_iterations=10, warm_up_worlds=512, iterations=25, worlds=128)
    trainer = FlightTrainer(config, HOVER, seed=0)
    before = evaluate(trainer.graph, HOVER, episodes=100, seed=12345)
    costs = [trainer.iterate() for _ in range(trainer.total_iterations)]
    after = evaluate(trainer.graph, HOVER, episodes=100, seed=12345)
    assert before.survival.value < 0.05
    assert after.survival.value > 0.7
    assert costs[-1]["cost"] < costs[10]["cost"]


def test_a_gradient_that_is_not_finite_is_skipped_and_counted() -> None:
    trainer = FlightTrainer(replace(SMALL, warm_up_iterations=0), HOVER, seed=0)
    environment = trainer.state_dict()["environment"]
    environment["scenario/state"][0, 10] = float("inf")
    trainer.load_state_dict({**trainer.state_dict(), "environment": environment})
    before = weights(trainer)
    metrics = trainer.iterate()
    assert metrics["skipped_updates"] == 1.0
    assert all(torch.equal(a, b) for a, b in zip(before, weights(trainer), strict=True))
    assert trainer.iterate()["skipped_updates"] == 0.0
    assert all(bool(torch.isfinite(p).all()) for p in weights(trainer))


def test_other_tasks_are_refused_with_a_way_out() -> None:
    with pytest.raises(UserError, match="--algorithm ppo"):
        FlightTrainer(SMALL, point_task(), seed=0)


@pytest.mark.parametrize(
    ("field", "value"), [("horizon", 0), ("learning_rate", 0.0), ("teacher_share", 1.5), ("precision", -1.0)]
)
def test_bad_settings_name_the_field(field: str, value: float) -> None:
    with pytest.raises(UserError, match=field):
        FlightConfig(**{field: value})  # type: ignore[arg-type]
