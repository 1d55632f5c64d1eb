"""Any quadrotor from the command line: a teacher, a student that imitates it, its bundle and its C; and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deploy.bundle.reader import load_bundle
from robo_rl.cli.main import main
from sim.tasks import TASKS, find_task
from tests.robo_rl.short_task import shorter

TEACHER = (
    "--warm-up-iterations 2 --warm-up-worlds 32 --warm-up-steps 4 --warm-up-updates 4 --warm-up-batch 16 "
    "--iterations 1 --worlds 8 --horizon 4 --hidden 16"
)
STUDENT = "--num-worlds 16 --rollout-steps 8 --iterations 2 --updates 2 --batch 64 --capacity 256 --minibatches 2"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Episodes of 100 steps, in a folder of the test's own."""
    monkeypatch.setitem(TASKS, "quadrotor-any", shorter(find_task("quadrotor-any"), 100))
    monkeypatch.chdir(tmp_path)


def said(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str]:
    """The exit code and the last line of the errors of a command."""
    code = main(line.split())
    errors = capsys.readouterr().err.strip().splitlines()
    return code, errors[-1] if errors else ""


def test_teacher_student_bundle_and_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"train quadrotor-any {TEACHER} --run-dir teacher".split()) == 0
    assert main(f"train quadrotor-any --algorithm distill --teacher teacher {STUDENT} --run-dir student".split()) == 0
    capsys.readouterr()
    assert main(["eval", "student", "--episodes", "5", "--json", "student.json"]) == 0
    assert json.loads(Path("student.json").read_text())["episodes"] == 5
    assert main(["export", "student", "--out", "any.bundle", "--episodes", "5"]) == 0
    assert main(["codegen", "any.bundle", "any-c"]) == 0
    policy = load_bundle(Path("any.bundle")).policy
    assert [(s.name, s.dim) for s in policy.manifest.states] == [("action_history", 4), ("hidden", 16)]
    sensors = {entry.name: np.zeros(entry.dim, np.float32) for entry in policy.manifest.sensors}
    assert set(sensors) == {
        "position", "orientation", "linear_velocity", "angular_velocity", "target_position", "target_velocity",
    }  # fmt: skip
    sensors["orientation"][0] = 1.0
    policy.reset()
    first, second = (policy.step(sensors)["rotor_speed"] for _ in range(2))
    # It remembers: the same sensors give another command.
    assert not np.array_equal(first, second)

    code, line = said(capsys, "export teacher --out teacher.bundle")
    assert code == 2 and "teacher holds a teacher, which reads what only a simulator knows" in line
    assert not Path("teacher.bundle").exists()
    code, line = said(capsys, f"train crazyflie-hover --algorithm distill --teacher teacher {STUDENT} --run-dir x")
    # The folder that was given, not the run's copy of it, which is gone with the run.
    assert code == 2 and " teacher can't teach in crazyflie-hover: it was trained in quadrotor-any" in f" {line}"
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--reads nothing", "reads"),
        ("--events.vehicle.only -2", "events.vehicle.only must be at least -1, got -2"),
        ("--events.vehicle.mass 5 0.02", "events.vehicle.mass"),
        ("--events.vehicle.thrust-to-weight 0.9 2", "events.vehicle.thrust_to_weight"),
        ("--commands.figure.still 2", "commands.figure.still must be at least 0.0 and at most 1.0, got 2"),
    ],
)
def test_mistakes_are_one_line(flags: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = said(capsys, f"train quadrotor-any {flags} --run-dir run")
    assert code == 2 and message in line and not Path("run").exists()
