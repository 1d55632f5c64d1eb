"""A rehearsal of a robot that only its bundle names: bridge, simulated robot and host as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from real.recording.messages import read_recording
from robo_rl.cli.main import main
from tests.e2e.standing_policy import export_stance

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]


def test_a_humanoid_is_simulated_from_its_bundle_and_stands_up_under_its_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, out = tmp_path / "bundle", tmp_path / "rehearsal"
    export_stance(bundle, "h1-velocity-flat")
    code = main(["rehearse", str(bundle), "--out", str(out), "--side", "0.2", "--push", "0"])
    figures = json.loads((out / "rehearsal.json").read_text())
    # Nobody balances it: it gets to its policy and falls, at the latest when it is pushed by its own legs.
    assert figures["states"][:3] == ["READY", "STAND", "POLICY"]
    assert code == figures["exit_code"] == (0 if figures["outcome"] == "walked and lay down" else 1)
    assert figures["outcome"] in ("walked and lay down", "ended by tilt in DAMP"), figures
    assert figures["path"]["highest_m"] > 0.9
    assert (out / "walk.png").read_bytes().startswith(b"\x89PNG")
    sent = [content["sent"] for _, content in read_recording(out / "walk.mcap")["/command"] if content["sent"]]
    assert len(sent[0]["joint_position_target"]) == 10
    assert "Traceback" not in (out / "robot.log").read_text() + (out / "bridge.log").read_text()
    assert "Traceback" not in capsys.readouterr().err
