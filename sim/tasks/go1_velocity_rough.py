"""Walk a Go1 over terrain at a commanded velocity, with a height scan; slower than on flat ground."""

from __future__ import annotations

from sim.legged.guide import GaitSettings
from sim.legged.rough import rough_task
from sim.legged.settings import CommandSettings, LeggedSettings, RewardSettings
from sim.legged.terrain_ground import ScanSettings
from sim.robots.go1 import GO1
from sim.terrain.terrain import TerrainSettings

SETTINGS = LeggedSettings(
    gait=(0.0, 0.5, 0.5, 0.0),
    clearance=0.12,
    min_height=0.25,
    commands=CommandSettings(forward=1.0, sideways=0.5, yaw=1.0, heading=0.5, interval=(8.0, 12.0)),
    rewards=RewardSettings(vertical_velocity=-0.5, tilt=-0.5, height=-5.0, clearance=-5.0, gait=0.3),
)
"""The ground under the body changes by a step at once, so height, tilt and the gait's clock count for less."""

GO1_VELOCITY_ROUGH = rough_task(GO1, SETTINGS, TerrainSettings(), ScanSettings(), GaitSettings(lift=0.1))
