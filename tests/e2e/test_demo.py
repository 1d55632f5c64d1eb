"""The whole way in one command, from nothing to a flight that held."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from real.recording.messages import read_recording
from robo_rl.workflows.processes import command


@pytest.mark.e2e
@pytest.mark.realtime
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_trains_exports_and_flies(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    finished = subprocess.run(
        command(["demo", "--out", str(out), "--duration", "4"]),
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "the flight held" in finished.stdout
    report = json.loads((out / "flight.json").read_text())
    assert report["outcome"] == "flew and landed"
    assert report["after_step"]["last_second"] < 0.2
    evaluation = json.loads((out / "bundle/manifest.json").read_text())["evaluation"]
    assert evaluation["success_at_0.1"]["low"] > 0.8
    assert read_recording(out / "flight.mcap")["/state"][-1][1]["state"] == "IDLE"
    for picture in ("flight.png", "training.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
