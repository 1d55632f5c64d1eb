"""A policy that reads a height scan, on stairs in the real-time robot process, through bridge and elevation map."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from real.recording.messages import read_recording
from real.ros.elevation_messages import GRID_MAP, parse_grid_map
from real.ros.messages import ODOMETRY, parse_odometry
from real.ros.version import RosVersion, type_name
from real.simulated.course import Course
from robo_rl.cli.main import main
from robo_rl.workflows.processes import running
from sim.terrain.kinds import PLATFORM
from tests.e2e.standing_policy import export_stance
from tests.real.bridge.bridge_in_thread import BareClient

pytestmark = pytest.mark.e2e

HEIGHT = 0.3
"""About the height in m of a standing Go1's base."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "stance"
    export_stance(out, "go1-velocity-rough")
    return out


@pytest.mark.realtime
def test_the_policy_reads_the_ground_that_the_robot_stands_on(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "rehearsal"
    options = ("--terrain", "stairs_up:3", "--side", "0.2", "--push", "0")
    code = main(["rehearse", str(bundle), "--out", str(out), *options])
    figures = json.loads((out / "rehearsal.json").read_text())
    assert code == 0, figures
    assert figures["outcome"] == "walked and lay down"
    readings = [content["sensors"] for _, content in read_recording(out / "walk.mcap")["/sensors"] if content]
    scans = np.array([sensors["height_scan"] for sensors in readings])
    assert len(scans) > 100
    assert np.isfinite(scans).all()
    # The platform at the bottom of the stairs is level, and wider than the scan.
    assert PLATFORM > 0.7
    standing = scans[len(scans) // 2]
    assert standing == pytest.approx(np.full(45, standing.mean()), abs=1e-3)
    assert standing.mean() == pytest.approx(-HEIGHT, abs=0.06)
    assert "Traceback" not in (out / "robot.log").read_text() + (out / "bridge.log").read_text()


@pytest.mark.parametrize("version", [1, 2])
def test_the_robot_sends_its_pose_and_the_ground_around_it(version: RosVersion, tmp_path: Path) -> None:
    spelled = ("--ros-version", str(version))
    arguments = ("--terrain", "stairs_down:3", "--elevation-rate", "10", "--namespace", "/dog", *spelled)
    with (
        running(("bridge", "--port", "0", *spelled), "bridge ready", tmp_path / "bridge.log") as url,
        running(("robot", "go1", "--url", url.split()[-1], *arguments), "robot ready", tmp_path / "robot.log"),
    ):
        client = BareClient(url.split()[-1])
        for topic, kind in (("/dog/elevation_map", GRID_MAP), ("/dog/odom", ODOMETRY)):
            client.send({"op": "subscribe", "topic": topic, "type": type_name(kind, version), "queue_length": 1})
        found: dict[str, Any] = {}
        while len(found) < 2:
            operation = client.receive(20.0)
            found[operation["topic"]] = operation["msg"]
        client.close()
    elevation = parse_grid_map(found["/dog/elevation_map"], "elevation", version)
    pose = parse_odometry(found["/dog/odom"], version)
    assert elevation.frame == found["/dog/odom"]["header"]["frame_id"]
    # It lies on the top of the stairs, which has room for the whole scan.
    course = Course("stairs_down:3")
    assert elevation.heights.max() == pytest.approx(course.start[2], abs=1e-4)
    assert elevation.at(pose.position[None, :2])[0] == pytest.approx(course.start[2], abs=1e-4)
    assert 0.0 < pose.position[2] - course.start[2] < 0.2


@pytest.mark.realtime
def test_without_its_map_it_never_begins(bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        running(("bridge", "--port", "0"), "bridge ready", tmp_path / "bridge.log") as url,
        running(("robot", "go1", "--url", url), "robot ready", tmp_path / "robot.log"),
    ):
        address = url.split()[-1]
        assert main(["deploy", str(bundle), "--url", address, "--elevation-map", "/map", "--connect-timeout", "2"]) == 1
    printed = re.sub(r"\s+", " ", "".join(capfd.readouterr()))
    assert "nothing usable on /joint_states and /imu/data and /map and /odom within 2 s" in printed
