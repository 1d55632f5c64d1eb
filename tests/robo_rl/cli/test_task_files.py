"""A task in a file outside the project: trained, evaluated, exported and run in C from the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

from robo_rl.cli.main import main
from robo_rl.training import config, runner
from robo_rl.training.tasks import task_of_run
from sim.tasks import files, find_task
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT
from tests.mcu_tools import needs_gcc

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "my_task.py"
SMALL = [
    "--num-worlds", "8", "--rollout-steps", "6", "--iterations", "2", "--epochs", "1", "--minibatches", "1",
    "--imitation", "0", "--actor-hidden", "8", "--critic-hidden", "8",
]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder with the example's file."""
    shutil.copy(EXAMPLE, tmp_path / "my_task.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*flags: str) -> int:
    return main(["train", "my_task.py:TASK", *SMALL, "--run-dir", "run", *flags])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


@needs_gcc
def test_it_trains_evaluates_exports_and_runs_in_c(folder: Path) -> None:
    assert train("--rewards.track_yaw", "1.5", "--rewards.foot_drag.height", "0.07") == 0
    rewards = yaml.safe_load(Path("run/config.yaml").read_text())["terms"]["rewards"]
    assert rewards["track_yaw"]["weight"] == 1.5
    assert rewards["foot_drag"] == {"weight": -0.1, "height": 0.07}
    last = json.loads(Path("run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["reward/foot_drag"] < 0.0

    assert main(["eval", "run", "--episodes", "4", "--json", "eval.json"]) == 0
    assert json.loads(Path("eval.json").read_text())["task"] == "go1-light-feet"
    assert main(["export", "run", "--out", "bundle", "--episodes", "4"]) == 0
    assert main(["eval", "bundle", "--episodes", "4"]) == 0
    assert main(["codegen", "bundle", "c"]) == 0
    sources = ["c/policy.c", "c/policy_selftest.c"]
    Path("main.c").write_text('#include "policy.h"\nint main(void) { return policy_selftest() == 0u ? 0 : 1; }\n')
    subprocess.run(
        ["gcc", "-std=c99", "-O2", "-ffp-contract=off", "-Ic", "main.c", *sources, "-o", "c/test"], check=True
    )
    assert subprocess.run(["c/test"], check=False).returncode == 0


def test_a_run_is_reloaded_from_its_own_copy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--rewards.foot_drag", "-0.3") == 0
    (folder / "my_task.py").unlink()
    task = task_of_run(Path("run"), config.load(Path("run") / runner.CONFIG))
    assert task.rewards["foot_drag"].weight == -0.3
    assert main(["eval", "run", "--episodes", "2"]) == 0
    assert main(["train", "my_task.py:TASK", "--run-dir", "run", "--resume"]) == 0
    capsys.readouterr()
    with Path("run/task.py").open("a") as copy:
        copy.write("# changed\n")
    assert main(["eval", "run", "--episodes", "2"]) == 2
    assert "run/task.py was changed since this run was started" in said(capsys)


def test_a_run_goes_on_only_with_what_it_was_started_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train() == 0
    assert main(["train", "my_task.py:TASK", "--run-dir", "run", "--resume", "--rewards.slip", "-1"]) == 2
    assert "rewards.slip.weight is -0.02 in the run, -1.0 was given" in said(capsys)
    with (folder / "my_task.py").open("a") as file:
        file.write("# changed\n")
    assert main(["train", "my_task.py:TASK", "--run-dir", "run", "--resume"]) == 2
    assert "my_task.py was changed since the run was started" in said(capsys)


MISTAKES = {
    "--rewards.foot_dragg 1": "did you mean --rewards.foot-drag",
    "--rewards.foot_drag.height -1": "rewards.foot_drag.height must be above 0",
    "--rewards.foot_drag much": "--rewards.foot-drag: expected a number, got 'much'",
}


@pytest.mark.parametrize("flags", MISTAKES)
def test_a_mistyped_setting_is_named_and_leaves_no_run(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(*flags.split()) == 2
    assert MISTAKES[flags] in said(capsys)
    assert not Path("run").exists()


BROKEN = {
    "TASK = 1": "my_task.py: TASK is a int, no Task; it makes no Task",
    "x = 2": "my_task.py: has no TASK; it makes no Task",
    "\n\nimport nothing_of_this_name": "my_task.py line 3: ModuleNotFoundError: No module named",
    "def f(:": "my_task.py line 1: SyntaxError",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_file_without_a_task_is_refused_in_one_line(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "my_task.py").write_text(text)
    assert train() == 2
    error = said(capsys)
    assert BROKEN[text] in error
    assert error.count("\n") == 1


def test_another_package_can_offer_a_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    entry = EntryPoint("their-walk", "sim.tasks.go1_velocity_flat:GO1_VELOCITY_FLAT", files.GROUP)
    monkeypatch.setattr(files, "entry_points", lambda group: [entry] if group == files.GROUP else [])
    assert find_task("their-walk") is GO1_VELOCITY_FLAT
    assert main(["tasks"]) == 0
    wrong = EntryPoint("their-mistake", "sim.tasks.go1_velocity_flat:ROBOT", files.GROUP)
    monkeypatch.setattr(files, "entry_points", lambda group: [wrong])
    assert main(["train", "their-mistake"]) == 2
    assert "task their-mistake (sim.tasks.go1_velocity_flat:ROBOT) can't be loaded: AttributeError" in said(capsys)
