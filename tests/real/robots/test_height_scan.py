"""The height scan of a robot with an elevation map: equal to the simulation's, and never stale, missing or NaN."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.errors import UserError
from policies.specs import SensorSpec
from real.contract.offer import HEIGHT_SCAN, Offer
from real.missions.kinds import KINDS
from real.robots.height_scan import HeightScan, points_of
from real.robots.legged_wire import LeggedWire
from real.robots.mapped_wire import ElevationSettings, MappedLegged
from real.robots.wires import nearest
from real.ros import legged_messages, messages
from real.ros.elevation_messages import ElevationMap, grid_map_message
from real.ros.fields import Array, MalformedMessage
from real.ros.legged_messages import JointSample
from real.ros.messages import ImuSample, OdometrySample
from real.simulated.course import Course, kind_and_level
from sim.legged.ground.tiles import ScanSettings
from sim.legged.observations import sensors
from sim.robots.go1 import GO1
from sim.terrain.heights import scan_places
from tests.real.missions.test_walk import leg_manifest

SCAN = ScanSettings()
SENSOR = sensors(GO1, SCAN)[-1]
NOW = 1_000_000_000_000
ZERO = np.zeros(3)


def pose(x: float, y: float, z: float, yaw: float, stamp: int = NOW) -> OdometrySample:
    orientation = np.array([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)])
    return OdometrySample(stamp, np.array([x, y, z]), orientation, ZERO, ZERO)


def level_map(heights: Array | None = None, stamp: int = NOW, frame: str = "world") -> ElevationMap:
    return ElevationMap(stamp, frame, np.zeros(2), 0.05, np.zeros((40, 40)) if heights is None else heights)


def scan_of(found: ElevationMap, at: OdometrySample, stamp: int = NOW, frame: str = "world") -> Array:
    scan = HeightScan(SENSOR, 0.5)
    scan.take_map(found)
    scan.take_pose(frame, at)
    return scan.at(stamp)


@pytest.mark.parametrize("kind", ["stairs_up", "gaps", "slope_up", "rough"])
def test_it_is_the_scan_that_the_policy_was_trained_with(kind: str) -> None:
    course = Course(f"{kind}:5")
    assert course.terrain is not None
    random = np.random.default_rng(3)
    wrong = 0.0
    for _ in range(20):
        x, y = course.start[:2] + random.uniform(-3.0, 3.0, 2)
        at = pose(x, y, course.start[2] + 0.3, random.uniform(-7.0, 7.0))
        found = scan_of(course.elevation(at.position, NOW, "world"), at)
        places = scan_places(
            torch.tensor(at.position[None]).float(), torch.tensor(at.orientation[None]).float(), SCAN.grid
        )
        true = course.terrain.heights.at(places)[0].numpy() - at.position[2]
        # A map has steps where the ground has slopes, and a point on an edge may be in either cell.
        wrong += float((np.abs(found - true) > (1e-3 if kind in ("stairs_up", "gaps") else 0.02)).mean()) / 20
    assert wrong < 0.03


def test_a_turned_robot_looks_along_its_heading() -> None:
    heights = np.zeros((40, 40))
    heights[:, :18] = 0.2  # Where y is above 0.1 m.
    points = points_of(SENSOR.labels)
    left = scan_of(level_map(heights), pose(0.0, 0.0, 0.3, math.pi / 2))
    assert left == pytest.approx(np.where(points[:, 0] > 0.1, -0.1, -0.3))
    right = scan_of(level_map(heights), pose(0.0, 0.0, 0.3, -math.pi / 2))
    assert right == pytest.approx(np.where(points[:, 0] < -0.1, -0.1, -0.3))


def test_an_unknown_point_is_as_high_as_the_nearest_known_one_and_limits_hold() -> None:
    heights = np.zeros((40, 40))
    heights[:16] = 0.1  # Where x is above 0.2 m.
    heights[:10] = np.nan  # Where x is above 0.5 m.
    found = scan_of(level_map(heights), pose(0.0, 0.0, 0.3, 0.0))
    points = points_of(SENSOR.labels)
    assert found == pytest.approx(np.where(points[:, 0] > 0.2, -0.2, -0.3))
    deep = scan_of(level_map(np.full((40, 40), -50.0)), pose(0.0, 0.0, 0.3, 0.0))
    assert deep == pytest.approx(np.array(SENSOR.low))


AT = pose(0.0, 0.0, 0.3, 0.0)
REFUSED = {
    "odometry too old for the scan": (level_map(), pose(0.0, 0.0, 0.3, 0.0, NOW - 110_000_000)),
    "elevation map too old": (level_map(stamp=NOW - 510_000_000), AT),
    "map in frame map, odometry in world": (level_map(frame="map"), AT),
    "too little of the map is known": (level_map(np.full((40, 40), np.nan)), AT),
}


@pytest.mark.parametrize("cause", REFUSED)
def test_a_scan_that_is_stale_or_unknown_is_refused(cause: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        scan_of(*REFUSED[cause])
    assert caught.value.cause == cause


def test_a_robot_outside_its_map_has_no_scan() -> None:
    assert np.isfinite(scan_of(level_map(), pose(0.9, 0.0, 0.3, 0.0))).all()
    with pytest.raises(MalformedMessage, match="too little of the map is known: 0 of 45 points"):
        scan_of(level_map(), pose(2.0, 0.0, 0.3, 0.0))


def test_a_label_that_is_no_point_is_named() -> None:
    with pytest.raises(UserError, match=r"height_scan has a channel 'front', expected a point such as"):
        points_of(("0,0", "front"))


MANIFEST = replace(leg_manifest(), sensors=(*leg_manifest().sensors, SENSOR))


def test_a_bundle_with_a_scan_runs_where_there_is_a_map_and_nowhere_else() -> None:
    def missing(offer: Offer) -> list[str]:
        return KINDS["velocity"].kind.missing(MANIFEST, offer)

    assert nearest(missing) == (LeggedWire, ["sensor height_scan [45] (m, heading, from the base) is missing"])
    wire, lacks = nearest(missing, ElevationSettings(elevation_map="/map"))
    assert isinstance(wire, MappedLegged)
    assert lacks == []
    unnamed = SensorSpec("height_scan", 45, "m", HEIGHT_SCAN.frame, -2.0, 2.0)
    older = replace(MANIFEST, sensors=(*leg_manifest().sensors, unnamed))
    lacks = KINDS["velocity"].kind.missing(older, MappedLegged.offer)
    assert lacks == ["sensor height_scan has no labels, by which the robot finds its channels"]


def test_the_wire_makes_a_reading_only_with_a_good_scan() -> None:
    settings = ElevationSettings(elevation_map="/map", elevation_layer="height", elevation_odometry="/pose")
    wire = MappedLegged(settings)(MANIFEST, "/dog", 2, 0.0025)
    assert wire.readings == ("/dog/joint_states", "/dog/imu/data", "/map", "/pose")
    assert {wire.types[topic] for topic in ("/map", "/pose")} == {"grid_map_msgs/GridMap", "nav_msgs/Odometry"}
    level = np.array([1.0, 0.0, 0.0, 0.0])

    def reading(stamp: int) -> object:
        joints = JointSample(stamp, ("hip", "knee"), np.zeros(2), np.zeros(2))
        wire.take("/dog/joint_states", legged_messages.joint_state_message(joints, np.zeros(2), 2), 0.0)
        taken = wire.take("/dog/imu/data", messages.imu_message(ImuSample(stamp, ZERO, ZERO), level, 2), 0.0)
        return None if taken is None or taken.sensors is None else taken.sensors["height_scan"]

    assert reading(NOW) is None
    assert wire.take("/map", grid_map_message(level_map(), "height", 2), 0.0) is None
    assert reading(NOW + 4_000_000) is None
    assert wire.take("/pose", messages.odometry_message(pose(0.0, 0.0, 0.3, 0.0), 2), 0.0) is None
    assert reading(NOW + 8_000_000) == pytest.approx(np.full(45, -0.3))
    with pytest.raises(MalformedMessage, match="odometry too old for the scan"):
        reading(NOW + 200_000_000)
    with pytest.raises(MalformedMessage, match="out of order"):
        wire.take("/map", grid_map_message(level_map(stamp=NOW - 1), "height", 2), 0.0)
    with pytest.raises(MalformedMessage, match="no layer height"):
        wire.take("/map", grid_map_message(level_map(), "elevation", 2), 0.0)


def test_bad_settings_are_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="elevation_map is 'map', expected a topic such as /elevation_map, or nothing"):
        ElevationSettings(elevation_map="map")
    with pytest.raises(UserError, match=r"elevation_age is 3\.0 s, expected above 0 and up to 2"):
        ElevationSettings(elevation_age=3.0)
    for words in ("stairs", "stairs_up", "stairs_up:8", "stairs_up:-1", "hills:2"):
        with pytest.raises(UserError, match=f"terrain is '{words}', expected KIND:LEVEL, such as stairs_up:3"):
            kind_and_level(words)
