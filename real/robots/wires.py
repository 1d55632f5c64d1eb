"""The kinds of robots that a driver behind a rosbridge server knows. A new one is a new file and one entry here."""

from __future__ import annotations

from collections.abc import Callable

from real.contract.offer import Offer
from real.robots.flight_wire import FlightWire
from real.robots.legged_wire import LeggedWire
from real.robots.wire import MakeWire

WIRES: tuple[MakeWire, ...] = (FlightWire, LeggedWire)


def nearest(missing: Callable[[Offer], list[str]]) -> tuple[MakeWire, list[str]]:
    """The wire whose offer leaves the fewest `missing` signals, and those signals: none if such a robot can run the
    bundle."""
    return min(((wire, missing(wire.offer)) for wire in WIRES), key=lambda found: len(found[1]))
