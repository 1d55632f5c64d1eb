"""`bench own`: its time limit, its bar, and robots that can't be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.errors import UserError
from robo_rl.bench import own, tables, walk_training
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.evaluation.walking import WalkingEvaluation
from tests.robo_rl.bench.test_bench_legged import FakeTrainer, walking


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Evaluations that were asked for, as (worlds, seed); each finds an error of 0.2 m/s and no fall."""
    found: list[tuple[int, int]] = []

    def evaluate(graph: Any, task: Any, worlds: int, seed: int) -> WalkingEvaluation:
        found.append((worlds, seed))
        return walking(0.2, worlds=worlds)

    monkeypatch.setattr(walk_training, "PpoTrainer", FakeTrainer)
    monkeypatch.setattr(walk_training, "evaluate_walking", evaluate)
    return found


def settings(**changes: Any) -> own.Settings:
    return own.Settings(**{"robots": ("go2",), "menagerie": (), "quick_worlds": 5, "worlds": 50, **changes})


def test_training_ends_with_its_iterations_or_its_time(asked: list[tuple[int, int]]) -> None:
    row = own.run(settings(iterations=3))["rows"][0]
    assert row["environment_steps"] == 3 * 32 and row["reaches_bar"] and row["seconds_to_bar"] is None
    assert (row["yaw_rate_error"], row["yaw_error_stride_mean"]) == (0.2, 0.2)
    assert asked == [(50, BENCHMARK_SEED)]
    row = own.run(settings(minutes=0.05 / 60.0, every_seconds=0.001))["rows"][0]
    assert 0.05 <= row["train_seconds"] < 1.0 and row["environment_steps"] < 260 * 32
    assert row["seconds_to_bar"] == row["curve"][0]["seconds"]
    assert asked[-1] == (50, BENCHMARK_SEED) and asked[1] == (5, BENCHMARK_SEED)


def test_a_robot_that_does_not_load_is_a_row_that_says_so(
    asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("mujoco_menagerie")
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    result = own.run(settings(robots=(), menagerie=("unitree_go2",)))
    assert "menagerie:unitree_go2" in result["rows"][0]["not_run"] and asked == []
    assert "not run" in tables.TABLES["own"](result)


def test_robots_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no robot cat; robots: go2, spot"):
        settings(robots=("cat",))
    monkeypatch.setattr(own, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="needs a checkout of robo-rl"):
        own.run(settings())
