"""The kinds of robots that a driver behind a rosbridge server knows. A new one is a new file and one entry here."""

from __future__ import annotations

from collections.abc import Callable

from deploy.bundle.manifest import Manifest
from real.contract.offer import HEIGHT_SCAN, Offer
from real.robots.flight_wire import FlightWire
from real.robots.legged_wire import LeggedWire
from real.robots.mapped_wire import ElevationSettings, MappedLegged
from real.robots.wire import MakeWire

WIRES: tuple[MakeWire, ...] = (FlightWire, LeggedWire)


def nearest(
    missing: Callable[[Offer], list[str]], elevation: ElevationSettings | None = None
) -> tuple[MakeWire, list[str]]:
    """The wire whose offer leaves the fewest `missing` signals, and those signals: none if such a robot can run the
    bundle. With `elevation`, there is an elevation map beside the robot."""
    wires = WIRES if elevation is None else (*WIRES, MappedLegged(elevation))
    return min(((wire, missing(wire.offer)) for wire in wires), key=lambda found: len(found[1]))


def needs_map(manifest: Manifest) -> bool:
    """Whether the bundle's policy reads heights of the ground."""
    return any(sensor.name == HEIGHT_SCAN.name for sensor in manifest.sensors)
