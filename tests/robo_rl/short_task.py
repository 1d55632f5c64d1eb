"""Tasks with shorter episodes, for tests of what happens around an evaluation rather than of its figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sim.environment import VectorEnvironment
from sim.task import Environment, Task


def shorter(task: Task, steps: int) -> Task:
    """`task` with episodes of `steps` control periods, in its worlds as well."""

    def world(changed: Task, *arguments: Any) -> Environment:
        environment = task.world(changed, *arguments)
        assert isinstance(environment, VectorEnvironment)
        environment.episode_steps = steps
        return environment

    return replace(task, episode_steps=steps, world=world)
