"""`bench rough`: a tiny teacher and its two students from end to end, resumed; its bars and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policies.errors import UserError
from robo_rl.bench import rough
from robo_rl.cli.main import main
from robo_rl.training import runner
from sim.tasks import TASKS
from sim.terrain.kinds import KINDS, size_at
from tests.robo_rl.short_task import shorter

TINY = (
    "--num-worlds", "8", "--teacher-iterations", "1", "--student-iterations", "1", "--student-steps", "4",
    "--worlds", "8",
)  # fmt: skip


def rows(**success: float) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind, "level": level, "size": size_at(kind, level), "success": success.get(kind, 1.0),
            "fall_rate": 0.0, "worlds": 10,
        }
        for kind in KINDS
        for level in range(8)
    ]  # fmt: skip


def test_the_bars_are_those_of_the_sizes() -> None:
    found = rough.bars("blind", rows(stairs_up=0.79, gaps=0.6))
    assert [(bar["kind"], bar["level"]) for bar in found] == [
        ("stairs_up", 2), ("stairs_down", 2), ("slope_up", 7), ("slope_down", 7), ("gaps", 2),
    ]  # fmt: skip
    assert [bar["holds"] for bar in found] == [False, True, True, True, True]
    assert [bar["level"] for bar in rough.bars("scan", rows())] == [3, 3, 7, 7, 2]
    assert not any(bar["holds"] for bar in rough.bars("scan", []))


@pytest.mark.slow
def test_a_teacher_and_two_students_are_trained_evaluated_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (rough.BLIND, rough.SCAN):
        monkeypatch.setitem(TASKS, name, shorter(TASKS[name], 10))
    out, runs = tmp_path / "rough.json", tmp_path / "runs"
    assert main(["bench", "rough", *TINY, "--runs", str(runs), "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert set(found["students"]) == {"blind", "scan"}
    for student in found["students"].values():
        assert {"kind", "level", "size", "success"} <= student["terrain"][0].keys()
        assert len(student["terrain"]) == 8
        assert student["iterations"] == 1
        assert student["train_seconds"] > 0.0
    assert found["teacher"]["task"] == found["students"]["blind"]["task"] == "go1-velocity-rough-blind"
    with pytest.raises(UserError, match="a teacher, which reads what only a simulator knows"):
        _ = runner.load_trained(runs / "teacher").graph
    scanning = runner.load_trained(runs / "scan")
    assert scanning.task.sensor_models["height_scan"].settings()["missing"] == 0.05
    assert "height_scan" in {sensor.name for sensor in scanning.graph.used_sensors}
    blind = runner.load_trained(runs / "blind")
    assert "height_scan" not in {sensor.name for sensor in blind.graph.used_sensors}
    # Complete runs are evaluated again and not trained further; other settings are refused.
    assert main(["bench", "rough", *TINY, "--runs", str(runs), "--json", str(out)]) == 0
    assert json.loads(out.read_text())["students"]["blind"]["iterations"] == 1
    assert main(["bench", "rough", *TINY, "--seed", "5", "--runs", str(runs)]) == 2
