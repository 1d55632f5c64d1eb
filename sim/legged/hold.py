"""What happens when nominal robots hold their stance: the first look at a robot, in the physics it will learn in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import torch

from policies.signals import Commands
from sim.legged.plan import TARGET
from sim.physics.addresses import Addresses
from sim.robots.legs import Legs
from sim.task import Task

WORLDS, SECONDS = 64, 1.0


@dataclass(frozen=True)
class Hold:
    """Of `WORLDS` robots that start as episodes do, without imperfections, and are commanded their stance."""

    falls: int
    """Robots that fell."""
    failed_worlds: int
    """Worlds whose simulation broke down."""
    largest_speed: float
    """Of the base and all joints of any robot in any step: m/s or rad/s."""
    base_height: float
    """Mean height of the bases at the end, those of fallen robots aside unless all fell, m."""
    mass: float
    """Of the robot in its world, kg."""
    model: mujoco.MjModel
    """The world."""


def hold_stance(task: Task, look: Callable[[Any], None] | None = None) -> Hold:
    """Hold the stance for `SECONDS`; `look` sees the environment at the end, for a picture."""
    robot = task.robot
    assert robot is not None
    environment: Any = task.make_environment(WORLDS, 0, randomized=False, imperfections=0.0)
    environment.reset()
    physics = environment.scenario.physics
    at = Addresses.of(physics.model, robot.base, robot.joints)
    dofs = torch.cat((torch.arange(at.velocity.start, at.rates.stop), at.dofs))
    stance = torch.tensor(robot.part(Legs).stance).repeat(WORLDS, 1)
    fell, failed = (torch.zeros(WORLDS, dtype=torch.bool) for _ in range(2))
    fastest = 0.0
    for _ in range(round(SECONDS / task.period)):
        step = environment.step(Commands({TARGET: stance}))
        failed |= physics.failed
        fell |= step.terminated & ~physics.failed
        fastest = max(fastest, float(physics.qvel[:, dofs].abs().max()))
        if bool(failed.all()):
            break
    if look is not None:
        look(environment)
    standing = ~(fell | failed)
    heights = physics.qpos[:, at.position.stop - 1]
    mean = float(heights[standing].mean() if bool(standing.any()) else heights.mean())
    base = int(physics.model.body(robot.base).id)
    mass = float(physics.model.body_subtreemass[base])
    return Hold(int(fell.sum()), int(failed.sum()), fastest, mean, mass, physics.model)
