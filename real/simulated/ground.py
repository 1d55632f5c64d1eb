"""A floor at height 0 without sliding; a rotor craft stands upright on it."""

from __future__ import annotations

import math
from typing import NamedTuple

from real.ros.messages import Array

LANDED_SPEED = 0.05
"""Speed in m/s below which a vehicle on the floor stands on it."""


class Touch(NamedTuple):
    """How a vehicle met the floor: its speed downwards in m/s, and the cosine of its tilt."""

    speed: float
    upright: float


def touch(state: Array) -> Touch | None:
    """Hold a state row [17] of `sim.physics.rotor` above the floor, in place; None where it does not touch it."""
    if state[2] > 0.0:
        return None
    w, x, y, z = state[3:7]
    met = Touch(-float(state[9]), float(1.0 - 2.0 * (x * x + y * y)))
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    state[2] = 0.0
    state[3:7] = (math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw))
    state[7:9] = 0.0
    state[9] = max(0.0, float(state[9]))
    state[10:13] = 0.0
    return met
