"""Walk a Go1 on flat ground at a commanded velocity."""

from __future__ import annotations

from sim.legged.guide import GaitSettings
from sim.legged.settings import LeggedSettings
from sim.legged.walking import flat_task
from sim.robots.go1 import GO1

SETTINGS = LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))
"""A trot: the diagonal legs together, two and a half strides a second."""

GO1_VELOCITY_FLAT = flat_task(GO1, SETTINGS, GaitSettings())
