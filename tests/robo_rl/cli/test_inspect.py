"""`robo-rl inspect`: what it reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robo_rl.cli.main import main
from tests.sim.robots.walker import JOINTS, LEGS, walker, written

KEYS = ("mass", "mujoco_mass", "joints", "feet", "gait", "mirror", "stand_height", "torque_limit", "stiffness", "hold",
        "warnings")  # fmt: skip


def test_the_report_says_what_was_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "result.json"
    assert main(["inspect", written(tmp_path, walker(), {}), "--json", str(result)]) == 0
    report = json.loads(result.read_text())
    assert set(KEYS) <= report.keys()
    assert report["mass"] == pytest.approx(10.4) == report["mujoco_mass"]
    assert report["joints"] == list(JOINTS) and report["feet"] == [[f"{leg}_toe"] for leg in LEGS]
    assert report["gait"] == [0.0, 0.5, 0.5, 0.0]
    assert report["torque_limit"] == [30.0] * 12 and report["stiffness"] == [40.0] * 12
    assert set(report["hold"]) == {"falls", "failed_worlds", "largest_speed", "base_height"}
    assert report["hold"]["falls"] == 0 and report["hold"]["largest_speed"] < 20.0
    assert report["mirror"]["joints"][:3] == ["FR_hip", "FR_thigh", "FR_calf"]
    assert report["sources"]["stiffness"][0] == "actuator FL_hip_servo"
    touching = report["contacts"]["robot"]
    assert report["contacts"]["props"] == []
    assert {"trunk", "FL_toe", "of FL_calf_link"} <= set(touching) and len(touching) == 17
    printed = capsys.readouterr().out
    assert "dog: base trunk, 10.4 kg (MuJoCo: 10.4 kg)" in printed and "foot FL_toe: phase 0" in printed


def test_an_mjcf_is_inspected_without_a_spec_and_a_wrong_file_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", written(tmp_path, walker())]) == 0
    capsys.readouterr()
    assert main(["inspect", str(tmp_path / "none.xml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["inspect", written(tmp_path, walker()), "--picture", "dog.jpg"]) == 2
    assert "ends in .png" in capsys.readouterr().err


def test_a_picture_shows_the_robot(tmp_path: Path) -> None:
    picture = tmp_path / "dog.png"
    assert main(["inspect", written(tmp_path, walker()), "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
