"""A policy that reads a height scan on rough ground, in simulated time, with every part but the sockets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.bundle.reader import load_bundle
from real.control.session import SessionSettings, run_session
from real.missions.velocity import Constant
from real.missions.walk import Walk
from real.robots.mapped_wire import ElevationSettings, MappedLegged
from real.ros.topics import LeggedTopics
from sim.legged.ground.tiles import ScanSettings
from sim.tasks import find_task
from sim.terrain.heights import scan_places
from tests.e2e.lockstep_robot import LockstepRobot
from tests.e2e.standing_policy import export_stance
from tests.real.fake_robot import FakeClock

pytestmark = pytest.mark.e2e

BLIND = find_task("go1-velocity-rough-blind")
MAP = ElevationSettings(elevation_map=LeggedTopics().elevation)


@pytest.fixture(scope="module")
def stance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "stance"
    export_stance(out, "go1-velocity-rough")
    return out


def test_the_scan_that_reaches_a_policy_is_the_ground_around_the_robot(stance: Path) -> None:
    bundle, clock = load_bundle(stance), FakeClock()
    assert BLIND.robot is not None
    robot = LockstepRobot(BLIND.robot, MappedLegged(MAP), bundle.manifest, clock, "gaps:5")
    robot.connect(1.0)
    terrain = robot.body._course.terrain
    assert terrain is not None
    wrong, uneven = [], 0
    for step in range(40):
        # Onto the gaps, turned, as if somebody carried it.
        x, y = robot.body._course.start[:2] + 1.3 * np.array([np.cos(0.3 * step), np.sin(0.2 * step)])
        robot.body._data.qpos[robot.body._pose : robot.body._pose + 2] = x, y
        clock.sleep(0.12)
        reading, pose = robot.read(), robot.body.pose(0)
        assert reading is not None
        found = reading.sensors["height_scan"]
        assert np.isfinite(found).all()
        places = scan_places(
            torch.from_numpy(pose.position[None]),
            torch.from_numpy(pose.orientation[None]),
            ScanSettings().grid.double(),
        )
        true = terrain.heights.at(places)[0].numpy() - pose.position[2]
        wrong.append((np.abs(found - true) > 0.02).mean())
        uneven += len(np.unique(found.round(2))) > 1
    # A point on an edge may be in either cell.
    assert np.mean(wrong) < 0.05
    assert uneven > 20


def test_a_map_that_stops_coming_ends_the_walk_before_the_policy_sees_an_old_one(stance: Path) -> None:
    bundle, clock = load_bundle(stance), FakeClock()
    assert BLIND.robot is not None
    robot = LockstepRobot(BLIND.robot, MappedLegged(MAP), bundle.manifest, clock, "stairs_up:3")
    robot.maps_until = clock.time + 8.0
    report = run_session(bundle, robot, Walk(bundle.manifest, Constant(), 20.0), SessionSettings(), clock)
    assert report.exit_code == 1
    assert report.outcome == "ended by state_age in DAMP"
    assert "elevation map too old" in robot.faults
    assert robot.body.mode == "failsafe"
    late = robot.sent[-1] - robot.maps_until
    assert 0.3 < late < MAP.elevation_age + 0.1 + 0.15 + 0.05


def test_without_a_map_the_session_does_not_begin(stance: Path) -> None:
    bundle, clock = load_bundle(stance), FakeClock()
    assert BLIND.robot is not None
    robot = LockstepRobot(BLIND.robot, MappedLegged(MAP), bundle.manifest, clock, "stairs_up:3")
    robot.maps_until = 0.0
    report = run_session(bundle, robot, Walk(bundle.manifest, Constant(), 1.0), SessionSettings(), clock)
    assert report.exit_code == 1
    assert report.commands_sent == 0
    assert robot.sent == []
