"""A legged robot with an elevation map beside it: everything of `LeggedWire`, and the height scan."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.contract.offer import HEIGHT_SCAN
from real.robots.height_scan import HeightScan
from real.robots.legged_wire import LeggedWire
from real.robots.wire import Taken
from real.ros.elevation_messages import GRID_MAP, parse_grid_map
from real.ros.fields import at
from real.ros.messages import ODOMETRY, parse_odometry
from real.ros.topics import LeggedTopics
from real.ros.version import RosVersion

_TOPIC = re.compile(r"(/[A-Za-z][A-Za-z0-9_]*)+")


@dataclass(frozen=True)
class ElevationSettings:
    """Where a legged robot's elevation map comes from. Raises UserError, in one line, for a bad setting."""

    elevation_map: str = ""
    """Topic of an elevation map (grid_map_msgs/GridMap) for a policy that reads a height scan; empty: there is none."""
    elevation_layer: str = "elevation"
    """The map's layer with the heights."""
    elevation_age: float = 0.5
    """Age in s beyond which a map is too old to act on."""
    elevation_odometry: str = ""
    """Topic of the base's pose in the map's frame (nav_msgs/Odometry); empty: /odom, under the namespace."""

    def __post_init__(self) -> None:
        for name in ("elevation_map", "elevation_odometry"):
            topic = getattr(self, name)
            if topic and not _TOPIC.fullmatch(topic):
                raise UserError(f"{name} is {topic!r}, expected a topic such as /elevation_map, or nothing")
        if not 0.0 < self.elevation_age <= 2.0:
            raise UserError(f"elevation_age is {self.elevation_age} s, expected above 0 and up to 2")


class MappedLegged:
    """Makes the wire of a robot whose map comes as `settings` say: a `MakeWire`."""

    offer = replace(LeggedWire.offer, sensors=(*LeggedWire.offer.sensors, HEIGHT_SCAN))

    def __init__(self, settings: ElevationSettings) -> None:
        self._settings = settings

    def __call__(self, manifest: Manifest, namespace: str, version: RosVersion, tolerance: float) -> MappedLeggedWire:
        return MappedLeggedWire(manifest, namespace, version, tolerance, self._settings)


class MappedLeggedWire(LeggedWire):
    """A reading exists only with a scan that is good for it: see `HeightScan`."""

    offer = MappedLegged.offer

    def __init__(
        self, manifest: Manifest, namespace: str, version: RosVersion, tolerance: float, settings: ElevationSettings
    ) -> None:
        super().__init__(manifest, namespace, version, tolerance)
        self._map, self._layer = settings.elevation_map, settings.elevation_layer
        self._odometry = settings.elevation_odometry or LeggedTopics(namespace).odometry
        self.types = {**self.types, self._map: GRID_MAP, self._odometry: ODOMETRY}
        self.subscribed = {**self.subscribed, self._map: "elevation map", self._odometry: "odometry"}
        self.readings = (*self.readings, self._map, self._odometry)
        sensor = next(sensor for sensor in manifest.sensors if sensor.name == HEIGHT_SCAN.name)
        self._scan = HeightScan(sensor, settings.elevation_age)

    def take(self, topic: str, message: object, received: float) -> Taken | None:
        """As `LeggedWire.take`; also maps and poses, which are part of no reading by themselves."""
        if topic == self._map:
            self._scan.take_map(parse_grid_map(message, self._layer, self._version))
            return None
        if topic == self._odometry:
            pose = parse_odometry(message, self._version)
            self._scan.take_pose(str(at(message, "header", "frame_id")), pose)
            return None
        taken = super().take(topic, message, received)
        if taken is None or taken.sensors is None:
            return taken
        if not self._scan.ready:
            return Taken(taken.stamp, None)
        return Taken(taken.stamp, {**taken.sensors, HEIGHT_SCAN.name: self._scan.at(taken.stamp)})
