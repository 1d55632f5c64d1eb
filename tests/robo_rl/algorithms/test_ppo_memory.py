"""Policies that remember: learning, resuming and looking in the mirror."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
import torch

from policies.networks.memory import GruNetwork, HistoryNetwork
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.evaluation.flying import evaluate
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.tiny_environment import point_task

SMALL = PpoConfig(
    num_worlds=64, iterations=30, rollout_steps=20, epochs=4, minibatches=4, learning_rate=3e-3, discount=0.95,
    actor_hidden=(16,), critic_hidden=(16,), memory=8, history=3, history_code=4, activation="elu",
)  # fmt: skip
Kind = Literal["gru", "history"]


@pytest.mark.parametrize("actor", ["gru", "history"])
def test_it_learns_to_push_the_point_home(actor: Kind) -> None:
    config = dataclasses.replace(SMALL, actor=actor, iterations=15, rollout_steps=10)
    trainer = PpoTrainer(config, point_task(), 1)
    before = evaluate(trainer.graph, point_task(), 200)
    for _ in range(config.iterations):
        trainer.iterate()
    after = evaluate(trainer.graph, point_task(), 200)
    assert before.distance is not None
    assert after.distance is not None
    assert before.distance.value > 0.2
    assert after.distance.high < 0.1


@pytest.mark.parametrize("actor", ["gru", "history"])
@pytest.mark.parametrize("parts", [4, 10])
def test_it_imitates_a_guide_before_it_learns_by_itself(actor: Kind, parts: int) -> None:
    """Also in more parts than a recurrent network has rows, which are worlds."""
    task = dataclasses.replace(point_task(), guide=lambda observation: -2.0 * observation[:, :1])
    config = dataclasses.replace(
        SMALL, actor=actor, num_worlds=8, imitation=8, imitation_minibatches=parts, learning_rate=1e-2
    )
    trainer = PpoTrainer(config, task, 1)
    spread = trainer.log_std.detach().clone()
    metrics = [trainer.iterate() for _ in range(config.imitation)]
    assert metrics[-1]["imitation"] < 0.1 * metrics[0]["imitation"]
    assert all(m["policy_loss"] == 0.0 for m in metrics)
    # No surrogate: nothing has set how widely the policy explores.
    assert torch.equal(trainer.log_std, spread)
    learning = trainer.iterate()
    assert "imitation" not in learning
    assert learning["policy_loss"] != 0.0


@pytest.mark.parametrize("actor", ["gru", "history"])
@pytest.mark.parametrize("symmetry", ["none", "augment", "double", "loss"])
def test_the_first_gradient_step_sees_the_policy_that_acted(
    actor: Kind, symmetry: Literal["none", "augment", "double", "loss"]
) -> None:
    """Unrolled over the rollout from the stored memory, through resets, it acts as it did step by step."""
    config = dataclasses.replace(SMALL, actor=actor, epochs=1, minibatches=1, symmetry=symmetry)
    trainer = PpoTrainer(config, point_task(), 5)
    for _ in range(3):
        metrics = trainer.iterate()
        assert abs(metrics["kl"]) < 1e-5
        assert metrics["episodes"] > 0


@pytest.mark.parametrize("actor", ["gru", "history"])
def test_resumed_equals_uninterrupted_bit_for_bit(actor: Kind) -> None:
    config = dataclasses.replace(SMALL, actor=actor, symmetry="augment", num_worlds=16)
    straight = PpoTrainer(config, point_task(), 1)
    first = PpoTrainer(config, point_task(), 1)
    for _ in range(4):
        straight.iterate()
    for _ in range(2):
        first.iterate()
    second = PpoTrainer(config, point_task(), 999)
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.iterate()
    assert_equal(straight.state_dict(), second.state_dict())


def test_a_gru_unrolls_as_it_steps_and_forgets_at_a_reset() -> None:
    torch.manual_seed(0)
    network = GruNetwork(3, 5, (7,), 2, output_gain=1.0)
    x, done = torch.randn(9, 4, 3), torch.rand(9, 4) < 0.3
    hidden = start = torch.randn(4, 5)
    steps = []
    for t in range(9):
        y, following = network.latent(x[t], {"hidden": hidden})
        hidden = torch.where(done[t][:, None], 0.0, following["hidden"])
        steps.append(y)
    torch.testing.assert_close(network.unroll(x, start, done), torch.stack(steps))


def test_a_gru_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = GruNetwork(3, 5, (7,), 2), torch.nn.GRUCell(3, 5)
    with torch.no_grad():
        # torch calls the update gate z and keeps (1 - z) of the candidate, as we do.
        theirs.weight_ih.copy_(ours.from_input.weight)
        theirs.weight_hh.copy_(ours.from_memory.weight)
        theirs.bias_ih.copy_(ours.from_input.bias)
        theirs.bias_hh.copy_(ours.from_memory.bias)
    x, hidden = torch.randn(6, 3), torch.randn(6, 5)
    torch.testing.assert_close(ours.latent(x, {"hidden": hidden})[1]["hidden"], theirs(x, hidden))


def test_a_history_is_what_was_seen_oldest_first() -> None:
    network = HistoryNetwork(2, 3, 4, (8,), 1)
    memory = {"past": torch.zeros(1, 6)}
    for value in (1.0, 2.0, 3.0, 4.0):
        _, memory = network(torch.full((1, 2), value), memory)
    assert memory["past"].tolist() == [[2.0, 2.0, 3.0, 3.0, 4.0, 4.0]]
