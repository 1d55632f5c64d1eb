"""Learning from the mirror image."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
import torch

from policies.errors import UserError
from policies.graph.symmetry import SignalMirror, SignedPermutation
from robo_rl.algorithms.ppo.advantages import generalised_advantages
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.minibatches import minibatches
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.evaluation.flying import evaluate
from robo_rl.training import parallel
from tests.robo_rl.tiny_environment import point_task

SMALL = PpoConfig(
    num_worlds=64, iterations=20, rollout_steps=20, epochs=4, minibatches=4, learning_rate=3e-3,
    actor_hidden=(16,), critic_hidden=(16,), discount=0.95,
)  # fmt: skip


def asymmetry(trainer: PpoTrainer) -> float:
    """How far the action at -x is from minus the action at x."""
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return float((trainer.graph.act(x) + trainer.graph.act(-x)).abs().mean())


def train(symmetry: Literal["none", "augment", "double", "loss"], seed: int = 1) -> PpoTrainer:
    config = dataclasses.replace(SMALL, symmetry=symmetry)
    trainer = PpoTrainer(config, point_task(), seed)
    for _ in range(config.iterations):
        metrics = trainer.iterate()
    assert ("symmetry_loss" in metrics) == (symmetry == "loss")
    return trainer


def test_a_policy_that_learns_from_the_mirror_is_more_symmetric() -> None:
    plain = asymmetry(train("none"))
    modes: tuple[Literal["augment"], Literal["double"], Literal["loss"]] = ("augment", "double", "loss")
    for symmetry in modes:
        trainer = train(symmetry)
        assert asymmetry(trainer) < 0.5 * plain
        after = evaluate(trainer.graph, point_task(), 200)
        assert after.distance is not None
        assert after.distance.high < 0.1


def test_doubled_minibatches_hold_every_sample_once_with_its_image() -> None:
    trainer = PpoTrainer(dataclasses.replace(SMALL, symmetry="double"), point_task(), 1)
    collector, c = trainer._collector, trainer.config
    rollout = collector.collect(0)
    value, following = collector.values(rollout)
    advantage = generalised_advantages(rollout.reward, value, following, rollout.done, c.discount, c.gae_lambda)
    collector.complete(rollout, value, advantage)
    given = minibatches(
        dataclasses.replace(c, epochs=1), rollout, trainer._actor, trainer._blocks, parallel.current(), 4
    )
    originals = []
    for parts, fault in given:
        assert not fault
        (batch,) = parts
        half = len(batch.original) // 2
        assert batch.original.tolist() == [1.0] * half + [0.0] * half
        for turned in (batch.observation, batch.latent, batch.mean):
            assert torch.equal(turned[half:], -turned[:half])
        for same in (batch.advantage, batch.target, batch.log_probability):
            assert torch.equal(same[half:], same[:half])
        originals.append(batch.latent[:half])
    mine, all_of_them = torch.cat(originals), rollout.worlds[..., rollout.columns["latent"]].flatten(0, 1)
    assert torch.equal(mine.sort(0).values, all_of_them.sort(0).values)


def test_the_normaliser_and_the_mirror_change_places() -> None:
    trainer = train("augment")
    mean = trainer.graph.state_dict()["normalizer.mean"]
    assert torch.equal(mean, torch.zeros_like(mean))


def test_a_task_without_a_mirror_says_so() -> None:
    task = dataclasses.replace(point_task(), mirror=None)
    with pytest.raises(UserError, match="point has no mirror symmetry; train it with symmetry none"):
        PpoTrainer(dataclasses.replace(SMALL, symmetry="augment"), task, 1)


def test_a_mirror_that_does_not_fit_says_so() -> None:
    one = SignedPermutation((0,), (-1.0,))
    wrong = SignalMirror({"position": one}, one, {"position_error": None})
    task = dataclasses.replace(point_task(), mirror=wrong)
    with pytest.raises(UserError, match="no entry for truth 'position'"):
        PpoTrainer(dataclasses.replace(SMALL, symmetry="augment"), task, 1)
