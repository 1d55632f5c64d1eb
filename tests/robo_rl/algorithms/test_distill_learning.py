"""Distillation learns: students of every kind from teachers of truth, and every arm resumes bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.distill.arms import ARMS, Kind
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.distill.imitation import Imitation
from robo_rl.algorithms.distill.trainer import make_trainer
from robo_rl.evaluation.flying import evaluate
from robo_rl.training import checkpoint, runner
from robo_rl.training.config import TrainConfig
from sim.task import Task
from sim.tasks import TASKS, find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.teachers import PushHome
from tests.robo_rl.tiny_environment import BrokenWorld, point_task

SMALL = DistillConfig(
    num_worlds=32, iterations=8, rollout_steps=10, epochs=2, updates=40, batch=128, capacity=4096, learning_rate=3e-3,
    actor_hidden=(16,), critic_hidden=(16,), memory=8, history=3, history_code=4, bptt=5, adaptation=6,
    encoder_hidden=(8,), contrast_batch=64,
)  # fmt: skip


class Counting(PushHome):
    """Remembers how many steps an episode has lasted, and pushes as well as ever."""

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        return State({"age": torch.zeros(batch, 1)})

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[torch.Tensor, State]:
        assert float(state["age"].max()) < 20.0, "an episode lasts 20 steps, and a restart forgets"
        return super().label(sensors, truth, state)[0], State({"age": state["age"] + 1.0})


def taught_point(**changes: Any) -> Task:
    return dataclasses.replace(point_task(), teacher=lambda device: Counting(), **changes)


def imitate(config: DistillConfig, task: Task, seed: int = 1) -> Imitation:
    trainer = Imitation(config, task, seed)
    for _ in range(config.iterations):
        metrics = trainer.iterate()
    assert metrics["skipped_updates"] == 0.0
    return trainer


def success(policy: PolicyGraph, task: Task) -> float:
    result = evaluate(policy, task, 200)
    assert result.success is not None
    return result.success.value


@pytest.mark.parametrize("arm", ["bc", "dagger"])
@pytest.mark.parametrize("actor", ["mlp", "gru", "history"])
def test_a_student_of_sensors_learns_what_a_teacher_of_truth_does(arm: str, actor: Kind) -> None:
    task = taught_point()
    config = dataclasses.replace(SMALL, arm=arm, actor=actor)
    assert success(Imitation(config, task, 1).graph, task) < 0.3
    assert success(imitate(config, task).graph, task) > 0.95


def test_a_guide_takes_the_place_of_a_teacher_that_is_not_there() -> None:
    task = dataclasses.replace(point_task(), guide=lambda observation: -5.0 * observation[:, :1])
    assert success(imitate(SMALL, task).graph, task) > 0.95
    with pytest.raises(UserError, match="point has neither a teacher nor a guide to imitate; name a run with"):
        Imitation(SMALL, point_task(), 1)


def test_a_quadrotor_learns_to_stay_in_the_air() -> None:
    task = find_task("crazyflie-hover")
    config = DistillConfig(num_worlds=128, iterations=8, rollout_steps=20, updates=40, batch=512, learning_rate=3e-3)
    assert evaluate(Imitation(config, task, 1).graph, task, 50, 12345).survival.value < 0.05
    assert evaluate(imitate(config, task).graph, task, 50, 12345).survival.value > 0.3


def test_a_broken_world_teaches_nothing() -> None:
    class Blind(PushHome):
        def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[torch.Tensor, State]:
            return -5.0 * sensors["position"], state

    task = dataclasses.replace(point_task(BrokenWorld), teacher=lambda device: Blind())
    trainer = imitate(dataclasses.replace(SMALL, num_worlds=4), task)
    assert all(bool(value.isfinite().all()) for value in trainer.graph.state_dict().values())


def arm_config(arm: str, **changes: Any) -> DistillConfig:
    return dataclasses.replace(SMALL, arm=arm, actor=ARMS[arm].actors[-1], **changes)


@pytest.mark.parametrize("arm", ARMS)
def test_resumed_equals_uninterrupted_also_after_a_kill(
    arm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "point", taught_point())
    # A memory of 16 steps of each world, around which the training goes several times.
    config = TrainConfig("point", arm_config(arm, capacity=512, updates=5), 2, checkpoint_every=3)

    def die(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == (11 if arm == "rma" else 5):
            raise RuntimeError("killed")

    runs = [tmp_path / "straight", tmp_path / "killed"]
    for run in runs:
        runner.create(run, config)
    with pytest.raises(RuntimeError, match="killed"):
        runner.train(runs[1], die)
    for run in runs:
        runner.train(run, lambda done, total, metrics: None)
    ours, theirs = (checkpoint.load(run / runner.CHECKPOINT)["algorithm"] for run in runs)
    assert_equal(ours, theirs)
    for name in ("replay.bin",) if not ARMS[arm].shares_worlds else ():
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes()
    assert isinstance(runner.load_trained(runs[0]).policy, PolicyGraph) == (arm != "teacher")


@pytest.mark.parametrize("arm", ["rma", "hib", "history", "dropper", "rpd", "asymmetric", "teacher", "blind"])
def test_what_ppo_learns_gets_better(arm: str) -> None:
    config = arm_config(arm, num_worlds=64, iterations=15, rollout_steps=20, discount=0.95, updates=20)
    task = taught_point()
    trainer = make_trainer(config, task, 1)
    returns = []
    while trainer.iteration < trainer.total_iterations:
        returns.append(trainer.iterate()["episode_return"])
    assert sum(returns[-3:]) / 3 > 15.0 > returns[0]
