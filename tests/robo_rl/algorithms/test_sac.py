"""SAC: it learns from nothing, bootstraps time-outs, resumes bit for bit with its replay, leaves broken rows out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.algorithms.sac.config import SacConfig
from robo_rl.algorithms.sac.networks import Critics
from robo_rl.algorithms.sac.trainer import SacTrainer
from robo_rl.evaluation.flying import evaluate
from robo_rl.training import checkpoint, runner
from robo_rl.training.config import TrainConfig
from sim.tasks import TASKS, find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.tiny_environment import BrokenWorld, PointEnvironment, RewardOfOne, point_task

SMALL = SacConfig(
    num_worlds=16, iterations=80, steps=4, updates=8, warm_up=512, capacity=4096, batch=128, discount=0.95,
    actor_hidden=(16,), critic_hidden=(32, 32),
)  # fmt: skip


def train(config: SacConfig, world: type[PointEnvironment] = PointEnvironment, seed: int = 1) -> SacTrainer:
    trainer = SacTrainer(config, point_task(world), seed)
    for _ in range(config.iterations):
        trainer.iterate()
    return trainer


@pytest.mark.parametrize(("lookahead", "layer_norm"), [(1, True), (3, False)])
def test_it_learns_to_push_the_point_home(lookahead: int, layer_norm: bool) -> None:
    config = dataclasses.replace(SMALL, lookahead=lookahead, layer_norm=layer_norm)
    before = evaluate(SacTrainer(config, point_task(), 1).graph, point_task(), 200)
    after = evaluate(train(config).graph, point_task(), 200)
    assert before.distance is not None and after.distance is not None and after.success is not None
    assert before.distance.value > 0.2
    assert after.distance.high < 0.1
    assert after.success.low > 0.9


def test_a_time_out_is_bootstrapped() -> None:
    # One reward a step forever is worth 1 / (1 - discount) = 5, however short the time limit; were a time-out an end,
    # five steps would be worth 3.4 at most.
    config = dataclasses.replace(
        SMALL, discount=0.8, iterations=60, target_rate=0.05, initial_temperature=1e-3, critic_rate=3e-3
    )
    trainer = train(config, RewardOfOne)
    position = torch.linspace(-0.5, 0.5, 11)[:, None]
    value = trainer.critics(position, torch.zeros_like(position)).detach()
    assert float(value.min()) > 4.5
    assert float(value.max()) < 5.5


def test_resumed_equals_uninterrupted_bit_for_bit() -> None:
    config = dataclasses.replace(SMALL, iterations=14)
    straight, first = train(config), SacTrainer(config, point_task(), 1)
    for _ in range(10):
        first.iterate()
    second = SacTrainer(config, point_task(), 999)
    second.load_state_dict(first.state_dict())
    for _ in range(4):
        second.iterate()
    assert_equal(straight.state_dict(), second.state_dict())
    assert straight.steps == second.steps == 14 * 4 * 16


def test_what_a_killed_run_wrote_after_its_checkpoint_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "point", point_task())
    # A replay of 16 steps of each world, around which the training goes several times.
    config = TrainConfig("point", dataclasses.replace(SMALL, iterations=24, capacity=256, warm_up=128), 2)
    config = dataclasses.replace(config, checkpoint_every=5)

    def die(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == stop:
            raise RuntimeError("killed")

    runs = [tmp_path / "straight", tmp_path / "killed"]
    for run in runs:
        runner.create(run, config)
    runner.train(runs[0], lambda done, total, metrics: None)
    for stop in (8, 13, 0):
        if stop:
            with pytest.raises(RuntimeError, match="killed"):
                runner.train(runs[1], die)
        else:
            runner.train(runs[1], die)
    ours, theirs = (checkpoint.load(run / runner.CHECKPOINT)["algorithm"] for run in runs)
    assert_equal(ours, theirs)
    assert (runs[0] / "replay.bin").read_bytes() == (runs[1] / "replay.bin").read_bytes()
    lines = [[{**line, "seconds": 0.0} for line in runner.read_metrics(run)] for run in runs]
    assert lines[0] == lines[1]
    (runs[0] / "replay.bin").unlink()
    with pytest.raises(UserError, match=r"replay\.bin, which is not there\); train again"):
        runner.train(runs[0], lambda done, total, metrics: None)


def test_rows_of_a_broken_world_are_left_out() -> None:
    trainer = train(dataclasses.replace(SMALL, iterations=20), BrokenWorld)
    assert all(bool(value.isfinite().all()) for value in trainer.graph.state_dict().values())
    steps = torch.arange(trainer.replay.oldest, trainer.replay.count)
    assert not bool(trainer.replay.finite(steps, torch.zeros_like(steps)).any())
    assert bool(trainer.replay.finite(steps, torch.ones_like(steps)).all())


def test_a_training_that_is_not_finite_any_more_says_so() -> None:
    trainer = train(dataclasses.replace(SMALL, iterations=10))
    with torch.no_grad():
        next(trainer.critics.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"critic_loss.*lower critic_rate"):
        trainer.iterate()


@pytest.mark.parametrize("name", ["crazyflie-hover", "go1-velocity-flat"])
def test_it_trains_every_kind_of_robot(name: str) -> None:
    config = dataclasses.replace(SMALL, num_worlds=4, warm_up=8, batch=16)
    trainer = SacTrainer(config, find_task(name), 1)
    before = [p.detach().clone() for p in trainer.graph.parameters()]
    metrics = [trainer.iterate() for _ in range(2)][-1]
    assert metrics["skipped_updates"] == 0.0
    assert "critic_loss" in metrics
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.graph.parameters(), strict=True))


def test_several_critics_are_as_many_networks() -> None:
    torch.manual_seed(0)
    critics = Critics(3, (8, 4), 5, layer_norm=True)
    observation, action = torch.randn(7, 2), torch.randn(7, 1)
    values = critics(observation, action)
    assert values.shape == (5, 7)
    x = torch.cat((observation, action), -1)
    for k in range(5):
        y = x
        for layer, (weight, bias) in enumerate(zip(critics.weights, critics.biases, strict=True)):
            y = y @ weight[k] + bias[k]
            if layer < 2:
                y = torch.nn.functional.layer_norm(y, y.shape[-1:]).relu()
        torch.testing.assert_close(values[k], y.squeeze(-1))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("capacity", 1, "capacity must be at least 128, got 1"),
        ("discount", 1.5, "discount must be at least 0.0 and at most 1.0"),
        ("target_rate", 0.0, "target_rate must be above 0.0 and at most 1.0, got 0.0"),
        ("critics", 0, "critics must be at least 1"),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        SacConfig(**{field: value})
