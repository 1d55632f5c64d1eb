"""`bench curricula` at a tiny size: every arm trains, its rows are kept, and the table compares them."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import UserError
from robo_rl.bench import curricula, tables
from robo_rl.bench.saved_rows import SavedRows
from sim.tasks import find_task
from tests.robo_rl.short_task import shorter


def test_every_arm_is_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curricula, "find_task", lambda name: shorter(find_task(name), 40))
    settings = curricula.Settings(
        arms=("flat", "penalties", "snapshots"), seeds=1, flat_iterations=1, rough_iterations=1, worlds=8,
        train_worlds=8, episodes=2, folder=tmp_path / "runs",
    )  # fmt: skip
    rows = SavedRows(tmp_path / "curricula.json", {})
    result = curricula.run(settings, rows)
    assert [(row["arm"], row["seed"]) for row in result["rows"]] == [("flat", 0), ("penalties", 0), ("snapshots", 0)]
    flat, penalties, snapshots = result["rows"]
    assert flat["samples"] == penalties["samples"] == 8 * 24 and flat["success"] is None
    assert penalties["reported"]["penalties"] > 0.1
    assert set(snapshots["reported"]) == {"terrain_level", "snapshots"} and 0.0 <= snapshots["success"] <= 1.0
    assert (tmp_path / "runs" / "teacher" / "checkpoint.pt").is_file()
    text = tables.TABLES["curricula"](result)
    assert "terrain_level, snapshots" in text and "| none |" in text
    monkeypatch.setattr(curricula, "_measure", lambda *_: pytest.fail("the rows are there"))
    assert curricula.run(settings, rows)["rows"] == result["rows"]


def test_arms_have_their_curricula_alone(tmp_path: Path) -> None:
    settings = curricula.Settings(folder=tmp_path)
    for name, given in curricula.ARMS.values():
        if "snapshots" not in given:
            assert tuple(curricula._with(find_task(name), given, 100, settings).curriculum) == given
    with pytest.raises(UserError, match="there is no arm stairs; arms: flat, command_range"):
        curricula.Settings(arms=("stairs",))
