"""From an elevation map and the robot's pose in it to the heights that a policy reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from policies.errors import UserError
from policies.specs import SensorSpec
from real.ros.elevation_messages import ElevationMap
from real.ros.fields import Array, MalformedMessage
from real.ros.messages import OdometrySample

KNOWN_SHARE = 0.5
"""Least share of the points whose heights must be known."""
POSE_AGE = 0.1
"""Largest difference in s between the stamps of the pose and of the reading that gets the scan."""


class HeightScan:
    """Heights of the ground less the base's, at points around the base, from the newest map and pose.

    The points are the sensor's labels, "x,y" in m from the base, x along its heading. A point whose cell is unknown
    gets the height of the nearest known point; of equally near ones, of the first. Heights beyond the sensor's limits
    are clipped to them.
    """

    def __init__(self, sensor: SensorSpec, map_age: float) -> None:
        """`map_age` s: how old a map may be. Raises UserError for labels that are no points."""
        self._points = points_of(sensor.labels)
        self._low, self._high = np.array(sensor.low), np.array(sensor.high)
        self._map_age = map_age
        apart = np.linalg.norm(self._points[:, None] - self._points, axis=-1).round(6)
        self._nearest = np.argsort(apart, axis=1, kind="stable")
        self._map: ElevationMap | None = None
        self._pose: tuple[str, OdometrySample] | None = None

    @property
    def ready(self) -> bool:
        """Whether a map and a pose have come."""
        return self._map is not None and self._pose is not None

    def take_map(self, found: ElevationMap) -> None:
        """Keep a map; raises MalformedMessage for one that is older than the last."""
        if self._map is not None and found.stamp < self._map.stamp:
            raise MalformedMessage("out of order", "elevation map")
        self._map = found

    def take_pose(self, frame: str, pose: OdometrySample) -> None:
        """Keep the base's pose in `frame`; raises MalformedMessage for one that is older than the last."""
        if self._pose is not None and pose.stamp < self._pose[1].stamp:
            raise MalformedMessage("out of order", "odometry")
        self._pose = frame, pose

    def at(self, stamp: int) -> Array:
        """The scan [k] in m of a reading of `stamp` ns; always finite and within the sensor's limits.

        Raises MalformedMessage, with a cause, where map or pose is too old for the reading, their frames differ, or too
        few heights are known.
        """
        assert self._map is not None and self._pose is not None
        (frame, pose), found = self._pose, self._map
        if abs(stamp - pose.stamp) * 1e-9 > POSE_AGE:
            raise MalformedMessage("odometry too old for the scan", f"{(stamp - pose.stamp) * 1e-9:.3f} s")
        if abs(stamp - found.stamp) * 1e-9 > self._map_age:
            raise MalformedMessage("elevation map too old", f"{(stamp - found.stamp) * 1e-9:.3f} s")
        if found.frame != frame:
            raise MalformedMessage(f"map in frame {found.frame}, odometry in {frame}", "header.frame_id")
        w, x, y, z = (float(v) for v in pose.orientation)
        heading = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        cos, sin = math.cos(heading), math.sin(heading)
        turned = self._points @ np.array([[cos, sin], [-sin, cos]])
        heights = found.at(pose.position[:2] + turned) - pose.position[2]
        known = np.isfinite(heights)
        if known.mean() < KNOWN_SHARE:
            raise MalformedMessage("too little of the map is known", f"{known.sum()} of {len(known)} points")
        nearest = self._nearest[np.arange(len(known)), known[self._nearest].argmax(1)]
        scan: Array = np.clip(heights[nearest], self._low, self._high)
        return scan


def points_of(labels: Sequence[str]) -> Array:
    """Points [k, 2] in m of labels such as "0.6,-0.15"; a UserError names one that is none."""
    rows = []
    for label in labels:
        try:
            x, y = (float(word) for word in label.split(","))
        except ValueError:
            raise UserError(f'height_scan has a channel {label!r}, expected a point such as "0.6,-0.15"') from None
        rows.append((x, y))
    return np.array(rows)
