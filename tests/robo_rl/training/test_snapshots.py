"""Episodes from a teacher's snapshots, and curricula that the command line adds: runs, checkpoints, errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from policies.signals import Truth
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.cli.main import main
from robo_rl.cli.terms import with_curricula
from robo_rl.training import checkpoint, config, runner, tasks
from robo_rl.training.config import TrainConfig
from robo_rl.training.snapshots import take_snapshots
from sim.environment import VectorEnvironment
from sim.tasks import find_task
from tests.robo_rl.equality import assert_equal

FLAT = find_task("go1-velocity-flat")
TINY = PpoConfig(
    num_worlds=8, rollout_steps=5, iterations=2, epochs=1, minibatches=2, actor_hidden=(16,), critic_hidden=(16,),
    activation="elu",
)  # fmt: skip


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two iterations."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    runner.create(folder, TrainConfig("go1-velocity-flat", TINY))
    runner.train(folder, lambda *_: None)
    return folder


def snapshots(teacher: Path, file: Path, **settings: Any) -> Any:
    given = {"episodes": 3, "every": 4, "length": 3, **settings}
    task = FLAT.with_settings({"curriculum": {"snapshots": given}})
    checkpoint.save(file, take_snapshots(teacher, task, 0))
    return task.with_settings({"curriculum": {"snapshots": {"file": str(file)}}})


def test_episodes_go_on_from_the_teachers_states_and_are_cut_off(teacher: Path, tmp_path: Path) -> None:
    task = snapshots(teacher, tmp_path / "s.pt", steps=40).changed(episode_steps=12)
    rows = checkpoint.load(tmp_path / "s.pt")["rows"]
    trainer = PpoTrainer(dataclasses.replace(TINY, num_worlds=16), task, 1)
    (environment,) = trainer._blocks.environments
    assert isinstance(environment, VectorEnvironment)
    acting, resumed = trainer._collector._acting, []
    settle = acting.settle

    def look(step: Any, following: Any) -> None:
        settle(step, following)
        if step.resumed is not None:
            resumed.append(len(step.resumed.ids))
            for world in step.resumed.ids.tolist():
                # One and the same snapshot decides everything.
                same = (rows["sensors/joint_position"] == step.sensors["joint_position"][world]).all(1).nonzero()[:, 0]
                assert len(same) == 1
                k = int(same)
                assert all(torch.equal(rows[f"truth/{n}"][k], step.truth[n][world]) for n in step.truth)
                assert all(torch.equal(rows[f"policy/{n}"][k], acting.state[n][world]) for n in acting.state)
                assert int(environment.age[world]) == 12 - 3
                assert torch.equal(environment.scenario.terms.resumed[world], torch.tensor(True))  # type: ignore[attr-defined]

    acting.settle = look  # type: ignore[method-assign]
    metrics = [trainer.iterate() for _ in range(8)]
    assert sum(resumed) > 16
    assert metrics[4]["snapshots"] > 0.5
    # After 40 steps of each world, every new episode begins normally.
    for _ in range(3):
        trainer.iterate()
    assert trainer.iterate()["snapshots"] == 0.0


def test_resumed_equals_uninterrupted_with_every_curriculum(teacher: Path, tmp_path: Path) -> None:
    task = snapshots(teacher, tmp_path / "s.pt", share=0.5).with_settings(
        {
            "curriculum": {
                "penalties": {"steps": 13}, "randomization_range": {"start": 0.3, "promotion": 0.0},
                "command_range": {"promotion": 0.0}, "command_sampling": {},
            }
        }
    )  # fmt: skip
    task = task.changed(episode_steps=6)
    small = dataclasses.replace(TINY, blocks=2)
    straight, first = PpoTrainer(small, task, 1), PpoTrainer(small, task, 1)
    metrics = [straight.iterate() for _ in range(6)]
    for _ in range(3):
        first.iterate()
    second = PpoTrainer(small, task, 999)
    second.load_state_dict(first.state_dict())
    assert [second.iterate() for _ in range(3)] == metrics[3:]
    assert_equal(straight.state_dict(), second.state_dict())
    assert set(task.curriculum) <= set(metrics[0])
    assert any(line["snapshots"] > 0.0 for line in metrics)


def test_a_student_from_the_command_line_keeps_its_snapshots(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "student"
    arguments = [
        "train", "--curriculum", "penalties", "command_sampling", "go1-velocity-flat", "--run-dir", str(run),
        "--curriculum.snapshots.teacher", str(teacher), "--curriculum.snapshots.episodes", "3",
        "--curriculum.penalties.start", "0.5", "--num-worlds", "8", "--iterations", "2", "--imitation", "0",
        "--rollout-steps", "4", "--epochs", "1", "--minibatches", "2", "--actor-hidden", "16",
    ]  # fmt: skip
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"of {teacher}, which was trained in 80 steps" in printed
    trained = runner.load_trained(run)
    assert set(trained.task.curriculum) == {"penalties", "command_sampling", "snapshots"}
    assert trained.task.curriculum["penalties"].parameters["start"] == 0.5
    metrics = runner.read_metrics(run)
    assert {"penalties", "command_sampling", "snapshots"} <= set(metrics[0])
    # The run needs its teacher no more, and is evaluated from normal starts.
    kept = config.load(run / runner.CONFIG)
    assert tasks.task_to_train(run, kept).curriculum["snapshots"].parameters["file"] == str(run / tasks.SNAPSHOTS)
    assert trained.task.curriculum["snapshots"].parameters["file"] == ""
    assert main(["train", "--resume", "--run-dir", str(run)]) == 0


def test_bad_curricula_and_teachers_are_refused_in_one_line(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str) -> str:
        run = tmp_path / "refused"
        assert main(["train", "go1-velocity-flat", "--run-dir", str(run), *arguments]) == 2
        assert not run.exists()
        return capsys.readouterr().err.removeprefix("robo-rl: error: ").strip()

    there = "command_range, penalties, randomization_range, snapshots, command_sampling"
    for given in (("--curriculum", "penalty"), ("--curriculum.penalty.start", "0.3")):
        said = refused(*given)
        assert said.startswith("go1-velocity-flat has no curriculum 'penalty'; there are ")
        assert set(said.partition("there are ")[2].split(", ")) == set(there.split(", "))
    untrained = tmp_path / "untrained"
    runner.create(untrained, TrainConfig("go1-velocity-flat", TINY))
    assert "there is no checkpoint" in refused("--curriculum.snapshots.teacher", str(untrained))
    assert "name the folder of a run" in refused("--curriculum.snapshots.teacher", str(tmp_path / "absent"))
    small = ("--num-worlds", "8", "--minibatches", "2")
    said = refused("--curriculum.snapshots.teacher", str(teacher), "--curriculum.snapshots.every", "1000", *small)
    assert "lasts 1000 steps" in said
    rough = find_task("go1-velocity-rough").with_settings({"curriculum": {"snapshots": {"episodes": 1}}})
    with pytest.raises(UserError, match="was trained on go1-velocity-flat, which has other signals"):
        take_snapshots(teacher, rough, 0)


def test_added_curricula_come_before_the_flags_and_leave_the_task_alone() -> None:
    rest, named, task = with_curricula(["go1-velocity-flat", "--curriculum", "penalties", "--seed", "3"], FLAT)
    assert (rest, named) == (["go1-velocity-flat", "--seed", "3"], ["penalties"])
    assert list(task.curriculum) == ["penalties"] and FLAT.curriculum == {}
    rest, named, task = with_curricula(["--curriculum=penalties", "--curriculum.command-range.start", "0.2"], FLAT)
    assert (rest, named) == (["--curriculum.command-range.start", "0.2"], ["penalties"])
    assert list(task.curriculum) == ["penalties", "command_range"]


def test_snapshots_need_an_algorithm_that_steps(teacher: Path, tmp_path: Path) -> None:
    environment = snapshots(teacher, tmp_path / "s.pt").make_environment(4, 0, randomized=True)
    assert isinstance(environment, VectorEnvironment)
    sensors, truth = environment.reset()
    assert isinstance(truth, Truth)
    with pytest.raises(UserError, match="can't begin from snapshots; use ppo, sac or distill"):
        environment.renew(torch.ones(4, dtype=torch.bool), sensors)
