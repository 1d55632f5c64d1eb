from __future__ import annotations

import dataclasses
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from policies.errors import UserError
from robo_rl.algorithms.ppo.actor import Actor
from robo_rl.algorithms.ppo.advantages import generalised_advantages
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.algorithms.ppo.extension import Extension
from robo_rl.algorithms.ppo.minibatch import Minibatch
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.evaluation.flying import evaluate
from sim.tasks import find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.tiny_environment import BrokenWorld, RewardOfOne, point_task

SMALL = PpoConfig(
    num_worlds=64, iterations=30, rollout_steps=20, epochs=4, minibatches=4, learning_rate=3e-3,
    actor_hidden=(16,), critic_hidden=(16,), discount=0.95,
)  # fmt: skip


def train(config: PpoConfig, seed: int = 1) -> PpoTrainer:
    trainer = PpoTrainer(config, point_task(), seed)
    for _ in range(config.iterations):
        trainer.iterate()
    return trainer


@pytest.mark.parametrize("distribution", ["clipped", "squashed"])
def test_it_learns_to_push_the_point_home(distribution: Literal["clipped", "squashed"]) -> None:
    task = point_task()
    config = dataclasses.replace(SMALL, distribution=distribution, entropy_coefficient=1e-3, value_clip=0.5)
    before = evaluate(PpoTrainer(config, task, 1).graph, task, 200)
    after = evaluate(train(config).graph, task, 200)
    assert before.distance is not None
    assert after.distance is not None
    assert before.distance.value > 0.2
    assert after.distance.high < 0.05
    assert after.success is not None
    assert after.success.low > 0.95


@pytest.mark.slow
def test_a_quadrotor_learns_from_nothing() -> None:
    """Without teacher or guide: half a minute of learning does not hover, but it loses far less."""
    task = find_task("crazyflie-hover")
    config = PpoConfig(
        num_worlds=256, iterations=45, rollout_steps=64, minibatches=8, learning_rate=3e-3, target_kl=0.0,
        discount=0.98, gae_lambda=0.9, initial_std=0.3,
    )  # fmt: skip
    trainer = PpoTrainer(config, task, 0)
    before = evaluate(trainer.graph, task, 200, 12345).episode_return
    for _ in range(config.iterations):
        trainer.iterate()
    after = evaluate(trainer.graph, task, 200, 12345).episode_return
    assert after.low > before.high + 5.0


def slow_advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, discount: float, decay: float
) -> Tensor:
    """The definition, sum by sum: differences weighted by (discount * decay)^k until the episode ends."""
    steps, worlds = reward.shape
    result = torch.zeros_like(reward)
    for world in range(worlds):
        for start in range(steps):
            weight = 1.0
            for t in range(start, steps):
                result[start, world] += weight * (reward[t, world] + discount * next_value[t, world] - value[t, world])
                if done[t, world]:
                    break
                weight *= discount * decay
    return result


@settings(max_examples=30, deadline=None)
@given(
    steps=st.integers(1, 8),
    worlds=st.integers(1, 4),
    seed=st.integers(0, 10_000),
    discount=st.floats(0.0, 1.0),
    decay=st.floats(0.0, 1.0),
)
def test_advantages_equal_their_definition(steps: int, worlds: int, seed: int, discount: float, decay: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    reward, value, following = (torch.randn(steps, worlds, generator=generator, dtype=torch.float64) for _ in range(3))
    done = torch.rand(steps, worlds, generator=generator) < 0.3
    fast = generalised_advantages(reward, value, following, done, discount, decay)
    assert torch.allclose(fast, slow_advantages(reward, value, following, done, discount, decay))


def test_a_time_out_is_bootstrapped() -> None:
    # One reward a step forever is worth 1 / (1 - discount) = 10, however short the time limit; were a time-out an end,
    # five steps would be worth 4.1 at most.
    config = dataclasses.replace(SMALL, discount=0.9, gae_lambda=0.9, iterations=40)
    trainer = PpoTrainer(config, point_task(RewardOfOne), 3)
    for _ in range(config.iterations):
        trainer.iterate()
    value = trainer.critic(torch.linspace(-0.5, 0.5, 11)[:, None]).detach()
    assert float(value.min()) > 9.0
    assert float(value.max()) < 11.0


def test_the_first_gradient_step_sees_the_policy_that_flew() -> None:
    trainer = PpoTrainer(dataclasses.replace(SMALL, epochs=1, minibatches=1), point_task(), 5)
    for _ in range(3):
        assert abs(trainer.iterate()["kl"]) < 1e-6


@pytest.mark.parametrize(("target", "end"), [(1e-9, 1e-5), (10.0, 1e-2), (0.0, 3e-3)])
def test_the_step_size_follows_the_target_kl(target: float, end: float) -> None:
    trainer = PpoTrainer(dataclasses.replace(SMALL, target_kl=target), point_task(), 1)
    for _ in range(2):
        metrics = trainer.iterate()
    assert metrics["learning_rate"] == pytest.approx(end)


def test_resumed_equals_uninterrupted_bit_for_bit() -> None:
    config = dataclasses.replace(SMALL, iterations=6)
    straight = train(config)
    first = PpoTrainer(config, point_task(), 1)
    for _ in range(3):
        first.iterate()
    second = PpoTrainer(config, point_task(), 999)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        metrics = second.iterate()
    assert_equal(straight.state_dict(), second.state_dict())
    assert straight.steps == second.steps == 6 * 64 * 20
    assert metrics["learning_rate"] == straight.optimizer.param_groups[0]["lr"]


def test_one_seed_repeats_and_another_differs() -> None:
    config = dataclasses.replace(SMALL, iterations=1)
    weights = [train(config, seed).log_std.detach().clone() for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class TowardsOne(Extension):
    def loss(self, batch: Minibatch, means: Tensor, actor: Actor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = 100.0 * (means - 1.0).square().mean()
        return loss, {"imitation": loss.detach()}


class Broken(Extension):
    def loss(self, batch: Minibatch, means: Tensor, actor: Actor) -> tuple[Tensor, dict[str, Tensor]]:
        return means.mean() * float("nan"), {}


def test_an_extensions_loss_joins_the_gradient() -> None:
    trainer = PpoTrainer(SMALL, point_task(), 1, extension=lambda blocks, first: TowardsOne())
    metrics = [trainer.iterate() for _ in range(30)]
    assert metrics[-1]["imitation"] < 0.1 * metrics[0]["imitation"]


def test_an_extensions_loss_that_is_not_finite_is_named_and_stops_the_training() -> None:
    trainer = PpoTrainer(SMALL, point_task(), 1, extension=lambda blocks, first: Broken())
    with pytest.raises(TrainingDiverged, match="auxiliary_loss in 16"):
        trainer.iterate()


def test_minibatches_with_a_broken_world_are_skipped_and_counted() -> None:
    config = dataclasses.replace(SMALL, minibatches=64, rollout_steps=2)
    trainer = PpoTrainer(config, point_task(BrokenWorld), 1)
    metrics = trainer.iterate()
    # Two of 128 rows are broken in each of four epochs, so one or two of its 64 minibatches are.
    assert 4 <= metrics["skipped_observation"] <= 8
    assert metrics["skipped_minibatches"] == metrics["skipped_observation"]
    assert all(bool(torch.isfinite(p).all()) for p in trainer.parameters)
    assert bool(torch.isfinite(trainer.graph.state_dict()["normalizer.mean"]).all())


def test_rescaling_leaves_every_value_as_it_was() -> None:
    torch.manual_seed(0)
    critic = Critic(3, (8,), "tanh")
    observation = torch.randn(50, 3)
    count = torch.tensor(100.0)
    critic.rescale(count, torch.tensor(200.0), torch.tensor(30.0))
    before = critic(observation)
    critic.rescale(count, torch.tensor(-80.0), torch.tensor(5.0))
    assert torch.allclose(critic(observation), before, rtol=1e-4, atol=1e-3)
    assert float(critic.value_mean) == pytest.approx(172.0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("discount", 1.5, "discount must be at least 0.0 and at most 1.0, got 1.5"),
        ("num_worlds", 0, "num_worlds must be at least 1, got 0"),
        ("learning_rate", float("nan"), "learning_rate must be above 0.0, got nan"),
        ("actor_hidden", (64, 0), "actor_hidden must hold layer widths"),
        ("distribution", "cauchy", "distribution must be one of clipped, squashed"),
        ("minibatches", 10**9, "minibatches must be at most 32768"),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PpoConfig(**{field: value})
