"""Rough ground in Bullet: as high as in MuJoCo, and robots stand on it alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.world import LeggedWorld
from sim.physics.mujoco.model import build_model
from sim.physics.pybullet.world import BulletWorld
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.tasks import find_task
from sim.terrain.kinds import KINDS
from sim.terrain.terrain import TerrainSettings, build_terrain

pytest.importorskip("pybullet")

TASK = find_task("go1-velocity-rough-blind")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_ground_is_as_high_as_in_mujoco(kind: str) -> None:
    terrain = build_terrain(TerrainSettings(kinds=(kind,), rows=3, tile=4.0))
    world = BulletWorld(build_model(GO1, terrain), 0.001)
    try:
        places = np.random.default_rng(2).uniform(-0.5, 0.5, (600, 2)) * np.array(terrain.size)
        # Away from the edges of boxes, where either height is right.
        apart = np.abs((places / 0.05 + 0.5) % 1.0 - 0.5).min(1) > 0.05
        places = places[apart]
        rays = ([[*place, height] for place in places] for height in (5.0, -5.0))
        hits = world._bullet.rayTestBatch(*rays, physicsClientId=world.client)
        found = np.array([hit[3][2] if hit[0] in world.ground.values() else np.nan for hit in hits])
    finally:
        world.close()
    true = terrain.heights.at(torch.from_numpy(places)).numpy()
    missed = np.isnan(found)
    assert missed.mean() < 0.02  # Rays that hit the robot.
    # Bullet splits a square of a height field along its other diagonal.
    close = np.abs(found - true)[~missed] < (0.002 if kind not in ("rough", "blocks") else 0.02)
    assert close.mean() > (0.99 if kind != "blocks" else 0.9)


@pytest.mark.parametrize("kind", ["stairs_up", "slope_down", "rough"])
def test_a_robot_stands_on_it_as_in_mujoco(kind: str) -> None:
    """Over half a second: heights of base and feet within 1.5 cm, the same feet on the ground, tilt within 0.03 rad."""
    found = {}
    for backend in ("mujoco", "pybullet"):
        ground = TerrainSettings(kinds=(kind,), rows=3, tile=4.0)
        assert isinstance(TASK.world, LeggedWorld)
        task = replace(TASK, world=replace(TASK.world, terrain=ground))
        environment = task.make_environment(3, 5, imperfections=0.0, backend=backend)
        assert isinstance(environment, VectorEnvironment)
        scenario = environment.scenario
        assert isinstance(scenario, TerrainScenario)
        stance = Commands({"joint_position_target": torch.tensor(GO1.part(Legs).stance).expand(3, -1)})
        environment.reset()
        # Onto the stairs or the slope, away from the level platform.
        physics = scenario.physics
        physics.qpos[:, 0] += 1.55
        physics.qpos[:, 2] += (
            scenario.tiles.height(physics.qpos[:, None, :2].float())[:, 0]
            - scenario.tiles.origins[scenario.tiles.levels, scenario.tiles.columns, 2]
            + 0.05
        )
        physics.qvel[:] = 0.0
        for _ in range(25):
            step = environment.step(stance)
        found[backend] = step.truth
        assert not bool(step.terminated.any())
        physics.close()
    own, other = found["mujoco"], found["pybullet"]
    assert (own["base_height"] - other["base_height"]).abs().max() < 0.015
    assert (own["foot_height"] - other["foot_height"]).abs().max() < 0.015
    assert (own["gravity"] - other["gravity"]).norm(dim=-1).max() < 0.03
    assert ((own["foot_contact"] > 0.0) == (other["foot_contact"] > 0.0)).float().mean() > 0.8
