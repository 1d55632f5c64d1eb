"""From a legged robot, settings and terrain to a task of walking on rough ground with a height scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from policies.graph.symmetry import SignalMirror, SignedPermutation
from policies.specs import SensorSpec
from policies.terms.observations import Reading
from sim.environment import VectorEnvironment
from sim.legged import task as walking
from sim.legged.ground.curriculum import TerrainCurriculum
from sim.legged.ground.scenario import TerrainScenario
from sim.legged.ground.tiles import ScanSettings, TerrainGround
from sim.legged.guide import GaitSettings, ObservedGuide
from sim.legged.settings import LeggedSettings
from sim.physics.backends import make_physics
from sim.physics.world import WorldSpec
from sim.robots.legged import LeggedRobot
from sim.sensors import SensorModel
from sim.task import Task
from sim.terms.terms import Privileged, Reward, Signal, Termination
from sim.terrain.terrain import TerrainSettings, build_terrain


def sensors(robot: LeggedRobot, settings: LeggedSettings, scan: ScanSettings) -> tuple[SensorSpec, ...]:
    """What a walking robot measures, and heights of the ground around it."""
    reach = 4.0 * (scan.noise + scan.height_drift)
    return (
        *walking.sensors(robot, settings),
        SensorSpec("height_scan", len(scan.grid), "m", "heading, from the base", scan.low - reach, scan.high + reach),
    )


def mirror(robot: LeggedRobot, scan: ScanSettings) -> SignalMirror:
    """As on flat ground; the scan's left and right change places."""
    flat = walking.mirror(robot)
    grid = scan.grid
    forward = len(grid[:, 0].unique())
    across = len(grid) // forward
    order = tuple(row * across + (across - 1 - column) for row in range(forward) for column in range(across))
    turned = SignedPermutation(order, (1.0,) * len(grid))
    return SignalMirror(
        {**flat.sensors, "height_scan": turned}, flat.action, {**flat.truth, "height_scan": turned}, flat.quaternions
    )


def make_environment(
    task: Task,
    num_worlds: int,
    seed: int,
    device: str = "cpu",
    *,
    robot: str = "",
    randomized: bool = False,
    imperfections: float = 1.0,
    backend: str = "mujoco",
    of: LeggedRobot,
    settings: LeggedSettings,
    terrain: TerrainSettings,
    scan: ScanSettings,
) -> VectorEnvironment:
    """Worlds on shared terrain. `randomized` draws each episode's body and motors and lets the curriculum run."""
    walking.check_world(of, settings, robot, imperfections)
    ground = build_terrain(terrain)
    physics = make_physics(backend, WorldSpec(of, walking.PERIOD, settings.solver, ground), num_worlds, device)
    curriculum = TerrainCurriculum(num_worlds, terrain.rows, len(terrain.kinds), terrain.tile, physics.device)
    if not randomized:
        curriculum.spread()
    tiles = TerrainGround(ground, scan, curriculum, num_worlds, imperfections, physics.device)
    actuators = walking.actuator_models(of, settings, physics, imperfections if randomized else 0.0)
    scenario = TerrainScenario(
        task, physics, actuators, of, settings, tiles, randomized=randomized, imperfections=imperfections
    )
    models = (
        *walking.sensor_models(settings.imperfections, imperfections),
        SensorModel("height_scan", scan.noise * imperfections, dropout=min(0.9, scan.dropout * imperfections)),
    )
    return walking.seen_by(scenario, actuators, sensors(of, settings, scan), models, seed)


def rough_task(
    robot: LeggedRobot,
    settings: LeggedSettings,
    terrain: TerrainSettings,
    scan: ScanSettings,
    rewards: Mapping[str, Reward] | None = None,
    terminations: Mapping[str, Termination] | None = None,
    guide: GaitSettings | None = None,
    recommended: Mapping[str, Mapping[str, Any]] | None = None,
) -> Task:
    """`ROBOT-velocity-rough`; with a `guide`, learning may start from a scripted gait. `recommended` as in Task."""
    points = len(scan.grid)
    observation = (*walking.observation(robot, settings), Reading("height_scan", points, 2.0))
    flat = walking.flat_task(robot, settings, rewards, terminations, recommended=recommended)
    return replace(
        flat,
        name=f"{robot.name}-velocity-rough",
        summary=f"Walk a {robot.name} over rough ground, slopes, stairs, blocks and gaps at a commanded velocity.",
        sensors=sensors(robot, settings, scan),
        observation=observation,
        privileged={**flat.privileged, "height_scan": Privileged(Signal("height_scan"), points)},
        world=partial(make_environment, of=robot, settings=settings, terrain=terrain, scan=scan),
        mirror=mirror(robot, scan),
        guide=None if guide is None else ObservedGuide(robot, settings, guide, observation),
    )
