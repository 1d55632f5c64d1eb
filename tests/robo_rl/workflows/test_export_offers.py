"""What no known robot offers is said at export and refused at deployment; what a kind needs is checked at export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.bundle.reader import load_bundle
from policies.errors import UserError
from robo_rl.cli.main import main
from robo_rl.training import runner
from robo_rl.workflows.export import export_run, not_offered
from sim.task import Task

SCAN = "sensor height_scan [45] (m, heading, from the base) is missing"


def test_a_policy_with_a_height_scan_is_deployed_only_beside_an_elevation_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out, result = (str(tmp_path / name) for name in ("run", "bundle", "export.json"))
    assert main(["train", "go1-velocity-rough", "--num-worlds", "8", "--iterations", "1", "--run-dir", run]) == 0
    capsys.readouterr()
    assert main(["export", run, "--out", out, "--episodes", "2", "--json", result]) == 0
    assert capsys.readouterr().err == ""
    assert json.loads(Path(result).read_text())["not_offered"] == []
    assert main(["deploy", out]) == 2
    assert capsys.readouterr().err == (
        f"robo-rl: error: no robot behind a bridge can run policy go1-velocity-rough-0: {SCAN}; name the robot's "
        "elevation map, --elevation-map TOPIC\n"
    )
    nowhere = ("--url", "ws://127.0.0.1:9", "--connect-timeout", "0.2")
    assert main(["deploy", out, "--elevation-map", "/elevation_map", *nowhere]) == 1
    assert "no connection to ws://127.0.0.1:9" in "".join(capsys.readouterr()).replace("\n", " ")
    assert main(["deploy", out, "--elevation-map", "elevation map", *nowhere]) == 2
    assert "elevation_map is 'elevation map', expected a topic such as /elevation_map" in capsys.readouterr().err
    assert main(["deploy", out, "--elevation-map", "/elevation_map", "--serial", "socket://127.0.0.1:9"]) == 2
    assert "--elevation-map is for a robot behind a bridge; leave it out with --serial" in capsys.readouterr().err
    assert main(["robot", out, "--terrain", "stairs_up:9"]) == 2
    assert "terrain is 'stairs_up:9', expected KIND:LEVEL, such as stairs_up:3" in capsys.readouterr().err
    assert main(["rehearse", out, "--terrain", "steps", "--out", str(tmp_path / "walk")]) == 2
    assert "terrain is 'steps', expected KIND:LEVEL, such as stairs_up:3" in capsys.readouterr().err
    manifest = load_bundle(out).manifest
    flat = replace(manifest, sensors=tuple(s for s in manifest.sensors if s.name != "height_scan"))
    assert not_offered(flat) == []
    assert not_offered(replace(flat, kind="swimming")) == ["a mission of kind swimming is missing"]


def test_a_task_without_what_its_kind_needs_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = tmp_path / "run", tmp_path / "bundle"
    assert main(["train", "go1-velocity-flat", "--num-worlds", "8", "--iterations", "1", "--run-dir", str(run)]) == 0
    trained = runner.load_trained(run)

    def without_tilt(task: Task) -> Task:
        return replace(task, safety=replace(task.safety, max_tilt=None))

    monkeypatch.setattr(runner, "load_trained", lambda folder: replace(trained, task=without_tilt(trained.task)))
    with pytest.raises(UserError, match=r"lacks safety\.max_tilt, which kind velocity needs"):
        export_run(run, out, episodes=2)
    assert not out.exists()
