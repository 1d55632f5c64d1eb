"""A PPO actor that reads the truth: a teacher that learns, resumes, is evaluated, labels, and is never exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
import torch

from policies.signals import Sensors
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.distill.imitation import Imitation
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.cli.main import main
from robo_rl.evaluation.flying import Evaluated, evaluate
from robo_rl.training import runner
from robo_rl.training.config import TrainConfig
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task
from sim.tasks import TASKS, find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.tiny_environment import PointEnvironment, point_task

SMALL = PpoConfig(
    num_worlds=32, iterations=15, rollout_steps=10, epochs=4, minibatches=4, learning_rate=3e-3, discount=0.95,
    actor_hidden=(16,), critic_hidden=(16,), memory=8, reads="truth", symmetry="augment",
)  # fmt: skip


class Blinded(PointEnvironment):
    """The sensor measures nothing but noise; the truth holds the position."""

    def _sensors(self) -> Sensors:
        return Sensors({"position": torch.randn(self.num_worlds, 1, generator=self._generator)})


def train(task: Task, config: PpoConfig = SMALL, seed: int = 1) -> PpoTrainer:
    trainer = PpoTrainer(config, task, seed)
    for _ in range(config.iterations):
        trainer.iterate()
    return trainer


def distance(policy: Evaluated, task: Task) -> float:
    found = evaluate(policy, task, 200).distance
    assert found is not None
    return found.value


def silent(iteration: int, total: int, metrics: Mapping[str, float]) -> None: ...


def test_it_does_what_no_policy_on_these_sensors_can() -> None:
    task = point_task(Blinded)
    teacher = train(task).graph
    assert isinstance(teacher, LearnedTeacher)
    assert distance(teacher, task) < 0.1
    assert distance(train(task, dataclasses.replace(SMALL, reads="sensors")).graph, task) > 0.3


@pytest.mark.parametrize("actor", ["mlp", "gru"])
def test_resumed_equals_uninterrupted(actor: Literal["mlp", "gru"]) -> None:
    config = dataclasses.replace(SMALL, actor=actor)
    straight, first = (PpoTrainer(config, point_task(), 1) for _ in range(2))
    metrics = [straight.iterate() for _ in range(4)]
    for _ in range(2):
        first.iterate()
    second = PpoTrainer(config, point_task(), 999)
    second.load_state_dict(first.state_dict())
    assert [second.iterate() for _ in range(2)] == metrics[2:]
    assert_equal(straight.state_dict(), second.state_dict())


def test_a_run_of_it_is_evaluated_and_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TASKS, "point", point_task(Blinded))
    run = tmp_path / "run"
    runner.create(run, TrainConfig("point", SMALL, seed=2))
    runner.train(run, silent)
    assert isinstance(runner.load_trained(run).policy, LearnedTeacher)
    assert main(["eval", str(run), "--episodes", "50"]) == 0
    capsys.readouterr()
    assert main(["export", str(run), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{run} holds a teacher, which reads what only a simulator knows" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_it_observes_what_the_policy_and_the_critic_do() -> None:
    task = find_task("go1-velocity-flat")
    teacher = PpoTrainer(dataclasses.replace(SMALL, num_worlds=4), task, 1).graph
    assert isinstance(teacher, LearnedTeacher)
    environment = task.make_environment(4, 5, randomized=True)
    sensors, truth = environment.reset()
    state = teacher.initial_state(4)
    for _ in range(3):
        seen = teacher.observe(sensors, truth, state)
        assert torch.equal(seen[:, task.observation_dim :], environment.critic_observation(truth))
        commands, state = teacher.step(sensors, truth, state)
        step = environment.step(commands)
        sensors, truth = step.sensors, step.truth


def test_it_starts_from_a_guide_that_reads_the_sensors() -> None:
    def guide(observation: torch.Tensor) -> torch.Tensor:
        assert observation.shape[1] == point_task().observation_dim
        return -2.0 * observation[:, :1]

    task = dataclasses.replace(point_task(), guide=guide)
    config = dataclasses.replace(SMALL, num_worlds=8, imitation=8, imitation_minibatches=4, learning_rate=1e-2)
    trainer = PpoTrainer(config, task, 1)
    metrics = [trainer.iterate() for _ in range(config.imitation)]
    assert metrics[-1]["imitation"] < 0.1 * metrics[0]["imitation"]


def test_its_normaliser_and_its_mirror_change_places() -> None:
    trainer = PpoTrainer(dataclasses.replace(SMALL, num_worlds=8, minibatches=2), find_task("go1-velocity-flat"), 1)
    trainer.iterate()
    normalizer, mirrors = trainer.graph.normalizer, trainer._mirrors
    assert mirrors is not None
    x = torch.randn(4, trainer.graph.observation_dim)
    assert mirrors.observation.is_involution()
    torch.testing.assert_close(normalizer(mirrors.observation(x)), mirrors.observation(normalizer(x)))


def test_it_labels_what_a_student_visits_and_knows_which_actions_were_executed() -> None:
    teacher = train(point_task()).graph
    assert isinstance(teacher, LearnedTeacher)
    task = dataclasses.replace(point_task(), teacher=lambda device: teacher)
    config = DistillConfig(
        num_worlds=32, iterations=8, rollout_steps=10, updates=40, batch=128, capacity=4096, actor_hidden=(16,),
        learning_rate=3e-3,
    )  # fmt: skip
    student = Imitation(config, task, 1)
    for _ in range(config.iterations):
        student.iterate()
    assert distance(student.graph, task) < 0.1
    # Both observe their past actions, and those are the executed ones.
    assert torch.equal(student.labels.state["action_history"], student._worlds.state["action_history"])
