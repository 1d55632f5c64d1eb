"""A walking robot in the mirror: the same physics, the same reward, and observations that mirror as it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from policies.graph.symmetry import observation_mirror, truth_mirror
from policies.signals import Commands, Sensors
from policies.terms.stateful import GaitClock
from sim.environment import VectorEnvironment
from sim.legged.scenario import LeggedScenario
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.task import Task
from sim.tasks import TASKS

WALKING = [name for name in TASKS if name.endswith("-velocity-flat")]
LOOSE = {"linear_acceleration": 1e3, "parameters": 0.0}
"""Tolerances unlike the others': dry friction in the joints makes accelerations jump with the last bit of a speed."""


def worlds(task: Task) -> tuple[VectorEnvironment, LeggedScenario]:
    environment = task.make_environment(2, 3, imperfections=0.0)
    assert isinstance(environment, VectorEnvironment)
    assert isinstance(environment.scenario, LeggedScenario)
    environment.reset()
    return environment, environment.scenario


def half_stride(scenario: LeggedScenario) -> float:
    """Control periods that separate a gait from its mirror image."""
    return 0.5 / (scenario.settings.frequency * scenario._period)


def put(scenario: LeggedScenario, seed: int) -> None:
    """World 0 moves somehow, world 1 does so in the mirror."""
    robot: Robot = scenario.robot
    model = scenario.physics.model
    random = np.random.default_rng(seed)
    places = [int(model.jnt_qposadr[model.joint(joint).id]) for joint in robot.joints]
    speeds = [int(model.jnt_dofadr[model.joint(joint).id]) for joint in robot.joints]
    qpos, qvel = np.tile(model.qpos0, (2, 1)), np.zeros((2, model.nv))
    qpos[:, :3] = 0.3, 0.2, robot.part(Legs).stand_height + 0.02
    tilt = np.array([1.0, *random.uniform(-0.1, 0.1, 3)])
    qpos[:, 3:7] = tilt / np.linalg.norm(tilt)
    qpos[:, places] = np.array(robot.part(Legs).stance) + random.uniform(-0.1, 0.1, len(places))
    qvel[:, :6] = random.uniform(-0.4, 0.4, 6)
    qvel[:, speeds] = random.uniform(-1.0, 1.0, len(speeds))
    qpos[1, :3] *= 1.0, -1.0, 1.0
    qpos[1, 3:7] *= 1.0, -1.0, 1.0, -1.0
    qvel[1, :6] *= 1.0, -1.0, 1.0, -1.0, 1.0, -1.0
    source, sign = list(robot.part(Legs).mirror.joint_from), np.array(robot.part(Legs).mirror.joint_sign)
    qpos[1, places] = qpos[0, places][source] * sign
    qvel[1, speeds] = qvel[0, speeds][source] * sign
    everyone, command = torch.ones(2, dtype=torch.bool), torch.from_numpy(qpos[:, places])
    scenario.physics.write(everyone, torch.from_numpy(qpos), torch.from_numpy(qvel), command)
    command = torch.tensor([0.6, 0.3, -0.5])
    scenario.commands.hold(torch.tensor([0]), command)
    scenario.commands.hold(torch.tensor([1]), command * torch.tensor([1.0, -1.0, -1.0]))
    scenario._steps[:] = torch.tensor([3, 3 + int(half_stride(scenario))])


@pytest.mark.parametrize("name", WALKING)
def test_mirrored_starts_and_commands_give_mirrored_truth_and_the_same_reward(name: str) -> None:
    task = TASKS[name]
    assert task.mirror is not None
    environment, scenario = worlds(task)
    put(scenario, 1)
    generator = torch.Generator().manual_seed(2)
    whole = half_stride(scenario).is_integer()
    way = torch.zeros(task.action.dim)
    for t in range(6):
        way = 0.7 * way + 0.15 * torch.randn(task.action.dim, generator=generator)
        action = torch.stack((way, task.mirror.action(way)))
        step = environment.step(Commands(dict(task.action(task.action.bound(action), Sensors({})))))
        assert not bool(step.terminated.any())
        mirrored = task.mirror.mirrored_truth(step.truth)
        for signal, value in mirrored.items():
            if signal == "gait_clock" and not whole:
                continue
            scale = 1.0 + float(step.truth[signal].float().abs().max())
            difference = float((value[1].float() - step.truth[signal][0].float()).abs().max())
            assert difference <= LOOSE.get(signal, 5e-2) * scale, f"{signal} at step {t}: {difference}"
        # The first two steps still compare with actions and speeds from before the start.
        if t >= 2 and whole:
            assert float(step.reward[0]) == pytest.approx(float(step.reward[1]), abs=1e-3)


@pytest.mark.parametrize("name", [*WALKING, "go1-velocity-rough"])
def test_observations_of_policy_and_critic_are_mirrored(name: str) -> None:
    task: Any = TASKS[name]
    found = observation_mirror(task.sensors, task.observation_terms, task.action, task.mirror)
    assert found.dim == task.observation_dim
    assert found.is_involution()
    # The clock of legs that take turns is half a stride off.
    kinds = [type(term) for term in task.observation_terms]
    start = sum(term.dim for term in task.observation_terms[: kinds.index(GaitClock)])
    assert found.source[start : start + 2] == (start, start + 1)
    assert found.sign[start : start + 2] == (-1.0, -1.0)
    environment = task.make_environment(4, 1)
    _, truth = environment.reset()
    critic = truth_mirror(environment.critic_observation, truth, task.mirror)
    assert critic.dim == task.critic_dim
    assert critic.is_involution()
