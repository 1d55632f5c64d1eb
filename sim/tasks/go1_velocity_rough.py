"""Walk a Go1 over terrain at a commanded velocity, with a height scan or blind; slower than on flat ground."""

from __future__ import annotations

from dataclasses import replace

from sim.legged.ground.tiles import ScanSettings
from sim.legged.guide import GaitSettings
from sim.legged.settings import LeggedSettings
from sim.legged.task import rough_task
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.task import Task
from sim.tasks.go1_velocity_flat import PPO, WEIGHTS
from sim.terrain.terrain import TerrainSettings

SETTINGS = LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0), clearance=0.14)
REWARDS = {**WEIGHTS, "vertical_velocity": -0.3, "tilt": -0.3, "height": -3.0, "clearance": -10.0}
"""As on flat ground, but slopes tilt the body, steps change the height of the ground under it at once, and a foot that
is not lifted stays below the next step: with the flat task's weight of `clearance` the feet rose a few centimetres, and
stairs of 0.05 m stopped the robot."""

ROBOT = GO1.with_part(replace(GO1.part(Legs), action_scale=(0.4, 1.1, 1.1) * 4))
"""Targets reach further from the stance than on flat ground, where 0.7 rad lift a foot by 0.13 m at most: a stair of
0.10 m and the way over its edge need more."""


def _task(blind: bool) -> Task:
    made = rough_task(
        ROBOT,
        SETTINGS,
        TerrainSettings(),
        ScanSettings(),
        GaitSettings(lift=0.14),
        {"ppo": {**PPO, "iterations": 480, "initial_std": 0.18, "final_std": 0.07}},
        blind,
    )
    velocity = {"forward": 1.0, "sideways": 0.5, "yaw": 1.0, "heading": 0.5, "interval": (8.0, 12.0)}
    own = {
        "rewards": REWARDS,
        "terminations": {"fall": {"height": 0.25 * GO1.part(Legs).stand_height}},
        "commands": {"velocity": velocity},
    }
    return made.with_settings(own).changed(curriculum={"command_range": None})


GO1_VELOCITY_ROUGH = _task(blind=False)
GO1_VELOCITY_ROUGH_BLIND = _task(blind=True)
"""The same ground, rewards and truth, for a student with a memory or for one that has none."""
