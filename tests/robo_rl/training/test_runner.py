from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import ALGORITHMS, find_algorithm
from robo_rl.training import checkpoint, record, runner
from robo_rl.training.config import TrainConfig
from sim.tasks import TASKS, find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.tiny_environment import point_task

PPO = PpoConfig(num_worlds=8, iterations=12, rollout_steps=4, epochs=1, actor_hidden=(4,), critic_hidden=(4,))
CONFIG = TrainConfig("point", PPO, seed=2, checkpoint_every=5)


@pytest.fixture(autouse=True)
def point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "point", point_task())


def silent(iteration: int, total: int, metrics: Mapping[str, float]) -> None: ...


def started(folder: Path) -> Path:
    runner.create(folder, CONFIG)
    return folder


def test_a_run_leaves_all_its_files(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    outcome = runner.train(run, silent, import_seconds=1.5)
    assert (outcome.iteration, outcome.steps, outcome.stopped_by) == (12, 12 * 8 * 4, 0)
    result = json.loads((run / "record.json").read_text())
    assert result["config"]["algorithm"]["name"] == "ppo"
    assert result["seed"] == 2
    assert result["steps"] == 12 * 8 * 4
    assert result["wall_seconds"]["imports"] == 1.5
    assert result["wall_seconds"].keys() == {"imports", "compile", "train"}
    assert [line["iteration"] for line in result["curve"]] == list(range(1, 13))
    assert result["machine"]["cores"] >= 1
    assert result["versions"]["torch"] == torch.__version__
    assert list((run / "tensorboard").iterdir())
    assert checkpoint.load(run / "checkpoint.pt")["iteration"] == 12


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    with pytest.raises(UserError, match=r"already holds a run .*--resume"):
        runner.create(run, CONFIG)


def stop_after(iteration: int, number: int = signal.SIGTERM) -> runner.Progress:
    def progress(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == iteration:
            os.kill(os.getpid(), number)

    return progress


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, number: int) -> None:
    straight, stopped = started(tmp_path / "straight"), started(tmp_path / "stopped")
    runner.train(straight, silent)
    first = runner.train(stopped, stop_after(7, number))
    assert (first.iteration, first.stopped_by) == (7, number)
    assert not record.read(stopped).finished
    runner.train(stopped, silent)
    assert_same(straight, stopped)


def test_what_came_after_the_checkpoint_is_done_again(tmp_path: Path) -> None:
    straight, killed = started(tmp_path / "straight"), started(tmp_path / "killed")
    runner.train(straight, silent)

    def die(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == 8:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        runner.train(killed, die)
    assert checkpoint.load(killed / "checkpoint.pt")["iteration"] == 5
    with (killed / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 9, "ste')
    torch.manual_seed(123456)
    runner.train(killed, silent)
    assert_same(straight, killed)


def test_a_run_keeps_its_own_number_of_threads(tmp_path: Path) -> None:
    """So that a resumed run adds up in the order of the uninterrupted one, whatever the process was set to."""
    run = tmp_path / "run"
    runner.create(run, replace(CONFIG, threads=2))
    runner.train(run, stop_after(7))
    torch.set_num_threads(1)
    seen = []
    runner.train(run, lambda done, total, metrics: seen.append(torch.get_num_threads()))
    assert set(seen) == {2}
    torch.set_num_threads(1)
    runner.load_trained(run)
    assert torch.get_num_threads() == 2


def test_a_policy_is_read_without_building_a_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = started(tmp_path / "run")
    runner.train(run, silent)

    def no_world(*arguments: Any, **settings: Any) -> Any:
        raise AssertionError("a world was built")

    monkeypatch.setitem(TASKS, "point", replace(point_task(), world=no_world))
    trained = runner.load_trained(run)
    assert_equal(dict(trained.graph.state_dict()), dict(checkpoint.load(run / "checkpoint.pt")["algorithm"]["graph"]))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_makes_the_policy_that_it_trains(name: str) -> None:
    entry, task = find_algorithm(name), find_task("crazyflie-hover")
    small = {"flight": {"warm_up_worlds": 4, "worlds": 4}, "ppo": {"num_worlds": 4, "minibatches": 2}}
    config = entry.config_class()(**small.get(name, {"num_worlds": 4}))
    trained = entry.build(config, task, 3, "cpu").state_dict()["graph"]
    made = entry.make_policy(config, task)
    shapes = [{name: value.shape for name, value in weights.items()} for weights in (made.state_dict(), trained)]
    assert shapes[0] == shapes[1]
    made.load_state_dict(trained)


def test_a_trained_policy_outlives_a_change_of_its_world(tmp_path: Path) -> None:
    run = started(tmp_path / "run")
    runner.train(run, silent)
    path = run / "checkpoint.pt"
    saved = checkpoint.load(path)
    del saved["algorithm"]["blocks"][0]["environment"]["age"]
    checkpoint.save(path, saved)
    trained = runner.load_trained(run)
    assert (trained.iterations, trained.steps) == (12, 12 * 8 * 4)
    assert_equal(dict(trained.graph.state_dict()), dict(saved["algorithm"]["graph"]))
    # Going on with the training is another matter.
    with pytest.raises(UserError, match=r"checkpoint\.pt does not fit .* \('age'\); train again"):
        runner.train(run, silent)


def assert_same(a: Path, b: Path) -> None:
    """Equal weights, optimiser, random states and metrics; wall time apart."""
    ours, theirs = checkpoint.load(a / "checkpoint.pt"), checkpoint.load(b / "checkpoint.pt")
    assert_equal(ours["algorithm"], theirs["algorithm"])
    assert_equal(ours["random"], theirs["random"])
    lines = [[{**line, "seconds": 0.0} for line in runner.read_metrics(run)] for run in (a, b)]
    assert lines[0] == lines[1]
    assert [line["iteration"] for line in lines[0]] == list(range(1, 13))
    records = [json.loads((run / record.FILE).read_text()) for run in (a, b)]
    for one in records:
        for point in one["curve"]:
            del point["seconds"]
        assert one.pop("wall_seconds").keys() == {"imports", "compile", "train"}
        del one["written"]
    assert records[0] == records[1]
    assert records[0]["finished"]
    assert [point["iteration"] for point in records[0]["curve"]] == list(range(1, 13))


def test_a_checkpoint_runs_no_code_that_is_in_it(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    torch.save({"version": 1, "evil": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "checkpoint.pt"
    if damage is None:
        torch.save({"version": 99}, path)
    else:
        path.write_bytes(damage)
    with pytest.raises(UserError, match=r"checkpoint\.pt"):
        checkpoint.load(path)


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"iteration": 1})
    with pytest.raises(AttributeError):
        checkpoint.save(path, {"iteration": lambda: 2})
    assert checkpoint.load(path)["iteration"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]
