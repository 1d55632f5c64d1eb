"""From a legged robot and settings to a walking task, with the terms that every walking task has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from policies.specs import SafetyEnvelope
from sim.legged import observations
from sim.legged.commands import WALKING_COMMANDS
from sim.legged.curriculum import WALKING_CURRICULA, WALKING_CURRICULUM
from sim.legged.ground.curriculum import TERRAIN_CURRICULA, TERRAIN_CURRICULUM
from sim.legged.ground.tiles import ScanSettings
from sim.legged.guide import GaitSettings, ObservedGuide
from sim.legged.privileged import walking_privileged
from sim.legged.randomization import WALKING_RANDOMIZATION
from sim.legged.rewards import walking_rewards
from sim.legged.settings import LeggedSettings
from sim.legged.starts import WALKING_STARTS
from sim.legged.terminations import walking_terminations
from sim.legged.world import LeggedWorld
from sim.physics.backends import BACKENDS
from sim.robots.legs import joint_spec
from sim.robots.robot import Robot
from sim.task import Task
from sim.terms.terms import Privileged, Signal
from sim.terrain.terrain import TerrainSettings

EPISODE_STEPS = 1000
SAFETY = SafetyEnvelope(max_tilt=1.05, max_input_age=0.1, max_command_age=0.1)


def flat_task(
    robot: Robot,
    settings: LeggedSettings,
    guide: GaitSettings | None = None,
    recommended: Mapping[str, Mapping[str, Any]] | None = None,
) -> Task:
    """`ROBOT-velocity-flat`; with a `guide`, learning may start from a scripted gait. `recommended` as in Task.

    Its terms have weights and parameters to start from; a robot's own are set by `with_settings` and `changed`.
    """
    observation = observations.observation(robot, settings)
    return Task(
        name=f"{robot.name}-velocity-flat",
        summary=f"Walk a {robot.name} on flat ground at a commanded velocity, blind to its own.",
        kind="velocity",
        sensors=observations.sensors(robot),
        commands=observations.commands(robot),
        observation=observation,
        action=observations.action(robot),
        period=observations.PERIOD,
        episode_steps=EPISODE_STEPS,
        safety=replace(SAFETY, imu=robot.imu),
        world=LeggedWorld(robot, settings),
        rewards=walking_rewards(robot, settings.clearance),
        terminations=walking_terminations(robot),
        privileged=walking_privileged(robot),
        events={**WALKING_RANDOMIZATION, **WALKING_STARTS},
        command_terms=WALKING_COMMANDS,
        curriculum=WALKING_CURRICULUM,
        curricula=WALKING_CURRICULA,
        sensor_models=observations.sensor_models(),
        joints=joint_spec(robot),
        robot=robot,
        mirror=observations.mirror(robot),
        guide=None if guide is None else ObservedGuide(robot, settings, guide, tuple(observation.values())),
        evaluate_randomized=True,
        evaluation="walking",
        backends=tuple(BACKENDS),
        recommended=recommended or {},
    )


def rough_task(
    robot: Robot,
    settings: LeggedSettings,
    terrain: TerrainSettings,
    scan: ScanSettings,
    guide: GaitSettings | None = None,
    recommended: Mapping[str, Mapping[str, Any]] | None = None,
    blind: bool = False,
) -> Task:
    """`ROBOT-velocity-rough`: as `flat_task`, on `terrain`, with a height scan; `blind` keeps the scan from the policy,
    not from critics and teachers, whose scan is exact."""
    seen = None if blind else scan
    observation = observations.observation(robot, settings, seen)
    flat = flat_task(robot, settings, recommended=recommended)
    ground = f"Walk a {robot.name} over rough ground, slopes, stairs, blocks and gaps at a commanded velocity"
    return replace(
        flat,
        name=f"{robot.name}-velocity-rough{'-blind' if blind else ''}",
        summary=f"{ground}, blind to it." if blind else f"{ground}.",
        sensors=flat.sensors if blind else (*flat.sensors, *observations.sensors(robot, scan)[-1:]),
        observation=observation,
        privileged={**flat.privileged, "height_scan": Privileged(Signal("height_scan"), len(scan.grid))},
        world=LeggedWorld(robot, settings, terrain, scan),
        curriculum={**flat.curriculum, **TERRAIN_CURRICULUM},
        curricula=TERRAIN_CURRICULA,
        sensor_models=observations.sensor_models(seen),
        mirror=observations.mirror(robot, scan, blind=blind),
        guide=None if guide is None else ObservedGuide(robot, settings, guide, tuple(observation.values())),
    )
