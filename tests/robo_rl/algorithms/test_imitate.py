"""Imitation: a student of sensors learns what a teacher of truth, or a guide, would do, and resumes bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.imitate import ImitateConfig, ImitateTrainer
from robo_rl.evaluation.flying import evaluate
from robo_rl.training import checkpoint, runner
from robo_rl.training.config import TrainConfig
from sim.task import Task
from sim.tasks import TASKS, find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.teachers import PushHome
from tests.robo_rl.tiny_environment import BrokenWorld, point_task

SMALL = ImitateConfig(num_worlds=32, iterations=8, steps=10, updates=40, batch=128, capacity=4096, hidden=(16,))


class Counting(PushHome):
    """Remembers how many steps an episode has lasted, and pushes as well as ever."""

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        return State({"age": torch.zeros(batch, 1)})

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[torch.Tensor, State]:
        assert float(state["age"].max()) < 20.0, "an episode lasts 20 steps, and a restart forgets"
        return super().label(sensors, truth, state)[0], State({"age": state["age"] + 1.0})


def taught_point(**changes: Any) -> Task:
    return dataclasses.replace(point_task(), teacher=lambda device: Counting(), **changes)


def train(config: ImitateConfig, task: Task, seed: int = 1) -> ImitateTrainer:
    trainer = ImitateTrainer(config, task, seed)
    for _ in range(config.iterations):
        metrics = trainer.iterate()
    assert metrics["skipped_updates"] == 0.0
    return trainer


def success(trainer: ImitateTrainer, task: Task) -> float:
    result = evaluate(trainer.graph, task, 200)
    assert result.success is not None
    return result.success.value


@pytest.mark.parametrize("final_share", [0.0, 1.0])
def test_a_student_of_sensors_learns_what_a_teacher_of_truth_does(final_share: float) -> None:
    task = taught_point()
    config = dataclasses.replace(SMALL, final_teacher_share=final_share)
    assert success(ImitateTrainer(config, task, 1), task) < 0.3
    assert success(train(config, task), task) > 0.95


def test_a_guide_takes_the_place_of_a_teacher_that_is_not_there() -> None:
    task = dataclasses.replace(point_task(), guide=lambda observation: -5.0 * observation[:, :1])
    assert success(train(SMALL, task), task) > 0.95
    with pytest.raises(UserError, match="point has neither a teacher nor a guide to imitate; use --algorithm ppo"):
        ImitateTrainer(SMALL, point_task(), 1)


def test_a_quadrotor_learns_to_stay_in_the_air() -> None:
    task = find_task("crazyflie-hover")
    config = ImitateConfig(num_worlds=128, iterations=8, updates=40, batch=512)
    assert evaluate(ImitateTrainer(config, task, 1).graph, task, 50, 12345).survival.value < 0.05
    assert evaluate(train(config, task).graph, task, 50, 12345).survival.value > 0.3


def test_resumed_equals_uninterrupted_also_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "point", taught_point())
    # A memory of 16 steps of each world, around which the training goes several times.
    config = TrainConfig("point", dataclasses.replace(SMALL, capacity=512), 2, checkpoint_every=3)

    def die(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == 5:
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
    assert (runs[0] / "replay.bin").read_bytes() == (runs[1] / "replay.bin").read_bytes()


def test_a_broken_world_teaches_nothing() -> None:
    class Blind(PushHome):
        def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[torch.Tensor, State]:
            return -5.0 * sensors["position"], state

    task = dataclasses.replace(point_task(BrokenWorld), teacher=lambda device: Blind())
    trainer = train(dataclasses.replace(SMALL, num_worlds=4), task)
    assert all(bool(value.isfinite().all()) for value in trainer.graph.state_dict().values())


@pytest.mark.parametrize(("field", "value"), [("teacher_share", 1.5), ("steps", 0), ("learning_rate", 0.0)])
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=field):
        ImitateConfig(**{field: value})
