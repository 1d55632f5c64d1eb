"""A policy that stands, on rough ground in both engines: successes by kind and level, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robo_rl.cli.main import main
from robo_rl.evaluation.flying import wilson
from robo_rl.evaluation.sim2sim import Settings
from robo_rl.evaluation.sim2sim_terrain import Place, TerrainComparison
from robo_rl.evaluation.walking import TerrainScore
from sim.terrain.kinds import slope_angle, stair_height
from tests.e2e.standing_policy import export_stance

pytest.importorskip("pybullet")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("standing") / "bundle"
    export_stance(out, "go1-velocity-rough-blind")
    return out


def test_success_is_reported_by_kind_and_level(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sim2sim.json"
    some = ("--kinds", "stairs_up", "slope_down", "--robots", "2", "--seconds", "1")
    code = main(["sim2sim", str(bundle), *some, "--json", str(out)])
    found = json.loads(out.read_text())
    assert [(row["kind"], row["level"], row["size"], row["robots"]) for row in found["terrain"]] == [
        (kind, level, pytest.approx(size(level)), 1)
        for kind, size in (("stairs_up", stair_height), ("slope_down", slope_angle))
        for level in (0, 1)
    ]
    for row in found["terrain"]:
        assert row["mujoco"]["fall_rate"]["value"] == row["pybullet"]["fall_rate"]["value"] == 0.0
    assert code == (0 if found["bar"]["success_ratio"]["holds"] else 1)
    printed = capsys.readouterr().out
    assert "stairs_up" in printed
    assert "in MuJoCo" in printed


def test_a_kind_that_the_task_does_not_have_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim2sim", str(bundle), "--kinds", "lava", "--robots", "1"]) == 2
    error = capsys.readouterr().err
    assert "go1-velocity-rough-blind has no ground 'lava'; kinds: flat, rough, slope_up" in error
    assert error.strip().count("\n") == 0
    assert main(["sim2sim", str(bundle), "--task", "go1-velocity-flat", "--kinds", "flat", "--robots", "1"]) == 2
    assert "go1-velocity-flat is on flat ground, which has no kinds; leave --kinds out" in capsys.readouterr().err


def score(success: int, robots: int = 10) -> TerrainScore:
    return TerrainScore("stairs_up", 3, robots, wilson(success, robots), wilson(robots - success, robots), 0.2)


@pytest.mark.parametrize(("own", "other", "holds"), [(10, 8, True), (10, 7, False), (5, 4, True), (0, 0, True)])
def test_the_other_engine_must_keep_most_successes(own: int, other: int, holds: bool) -> None:
    made = TerrainComparison("made-up", Settings(), (Place(score(own), score(other)),))
    assert made.holds is holds
    assert made.success("mujoco").value == pytest.approx(own / 10)
