from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from policies.errors import UserError
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.training import record, runner, tasks
from robo_rl.training.config import TrainConfig
from sim.tasks import TASKS, find_task
from tests.robo_rl.tiny_environment import point_task

SMALL = PpoConfig(num_worlds=8, iterations=3, rollout_steps=4, epochs=1, actor_hidden=(4,), critic_hidden=(4,))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(TASKS, "point", point_task())
    folder = tmp_path / "run"
    runner.create(folder, TrainConfig("point", SMALL, seed=2, label="small"))
    runner.train(folder, lambda iteration, total, metrics: None)
    return folder


def test_the_record_says_what_was_trained_where_and_with_what_result(run: Path) -> None:
    document = json.loads((run / record.FILE).read_text())
    assert {name: document[name] for name in ("version", "task", "algorithm", "label", "seed")} == {
        "version": 1, "task": "point", "algorithm": "ppo", "label": "small", "seed": 2,
    }  # fmt: skip
    assert document["config"]["algorithm"]["num_worlds"] == 8
    assert (document["iterations"], document["total_iterations"], document["finished"]) == (3, 3, True)
    assert document["steps"] == 3 * 8 * 4
    assert document["wall_seconds"].keys() == {"imports", "compile", "train"}
    assert {"machine", "versions", "command", "git_commit", "written", "task_digest"} <= document.keys()
    assert document["curve"] == runner.read_metrics(run)
    assert list(run.glob(".*tmp")) == []


def test_a_record_is_read_without_torch(run: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from pathlib import Path; from robo_rl.training import record; "
        f"print(record.read(Path({str(run)!r})).curve[-1]['iteration'])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "3\n"


def test_a_long_curve_has_few_points_each_the_mean_of_its_iterations() -> None:
    lines = [{"iteration": n, "steps": 10 * n, "seconds": 0.1 * n, "reward": float(n)} for n in range(1, 1002)]
    lines[0]["imitation_loss"] = 4.0
    points = record.curve(lines, points=200)
    assert len(points) == 167
    assert points[0] == {"iteration": 6, "steps": 60, "seconds": 0.1 * 6, "reward": 3.5, "imitation_loss": 4.0}
    assert points[-1] == {"iteration": 1001, "steps": 10010, "seconds": 0.1 * 1001, "reward": 999.0}
    assert record.curve([]) == []


def test_the_digest_follows_what_the_task_rewards_and_not_the_training() -> None:
    task = find_task("crazyflie-hover")
    other = task.with_settings({"rewards": {name: 2.5 * term.weight for name, term in task.rewards.items()}})
    assert record.digest(task, "") == record.digest(find_task("crazyflie-hover"), "")
    assert len({record.digest(task, ""), record.digest(other, ""), record.digest(task, "a file")}) == 3


def test_the_source_of_a_task_is_its_files_digest() -> None:
    configuration = TrainConfig("point", SMALL)
    assert tasks.source_of(configuration) == ""
    assert tasks.source_of(replace(configuration, task="a.py:TASK", task_digest="12ab")) == "12ab"
    assert tasks.source_of(replace(configuration, task="velocity-flat@a.xml@#0123456789ab")) == "0123456789ab"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "holds no record.json"),
        ("{", "is damaged"),
        ('{"version": 9}', "has version 9, this robo-rl reads 1"),
        ('{"version": 1, "task": "point"}', "lacks task_digest"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / record.FILE).write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        record.read(tmp_path)
    assert "\n" not in str(caught.value)
