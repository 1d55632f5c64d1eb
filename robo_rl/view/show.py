"""A policy in its task's world, one control period at a time, for somebody to look at."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from deploy.bundle import Bundle
from policies.errors import UserError
from policies.graph import PolicyGraph
from policies.signals import State, Truth
from robo_rl.evaluate import HELD_OUT_SEED, make_world, pilot_for
from robo_rl.locomotion import WithCurriculum
from sim.task import Task


class Show:
    """`worlds` robots under one policy, with the imperfections an evaluation has; finished worlds start anew.

    `seconds` is the time since the start or the last `restart`, `truth` what is true now. Raises UserError when the
    policy was made for other signals than the task's.
    """

    def __init__(
        self,
        policy: PolicyGraph | Bundle,
        task: Task,
        worlds: int = 1,
        seed: int = HELD_OUT_SEED,
        imperfections: float = 1.0,
        command: Sequence[float] | None = None,
    ) -> None:
        self.task = task
        self._pilot = pilot_for(policy, task)
        self.environment = make_world(task, worlds, seed, imperfections=imperfections)
        if isinstance(self.environment, WithCurriculum):
            self.environment.finish_curriculum()
        self._command: torch.Tensor | None = None
        self.truth: Truth
        self.seconds = 0.0
        self._steps = 0
        if command is not None:
            self.command(command)
        self.restart()

    @property
    def worlds(self) -> int:
        return self.environment.num_worlds

    def command(self, velocity: Sequence[float] | None) -> None:
        """Command every robot (forward m/s, left m/s, yaw rate rad/s) until told otherwise; None: the task's own
        draws.

        Raises UserError for a task that takes no velocity command.
        """
        if not commands(self.task):
            raise UserError(f"{self.task.name} takes no velocity command; leave --command out")
        self._command = None if velocity is None else torch.tensor([list(velocity)], dtype=torch.float32)
        self._hear()

    def _hear(self) -> None:
        if self._command is not None:
            ids = torch.arange(self.worlds)
            self.environment.scenario.commands.set_command(ids, self._command.expand(self.worlds, -1))  # type: ignore[attr-defined]

    @torch.no_grad()
    def restart(self) -> None:
        """Start every world anew."""
        self.sensors, self.truth = self.environment.reset()
        self._state = self._pilot.initial_state(self.worlds, "cpu")
        self._hear()
        self.seconds, self._steps = 0.0, 0

    @torch.no_grad()
    def step(self) -> None:
        """One control period."""
        orders, state = self._pilot.step(self.sensors, self._state)
        done = self.environment.step(orders)
        ended = done.terminated | done.truncated
        if bool(ended.any()):
            fresh = self._pilot.initial_state(self.worlds, "cpu")
            state = State({name: torch.where(ended[:, None], fresh[name], state[name]) for name in state})
            self._hear()
        self.sensors, self.truth, self._state = done.sensors, done.truth, state
        self._steps += 1
        self.seconds = self._steps * self.task.period


def commands(task: Task) -> bool:
    """Whether the task's robot takes a velocity command."""
    return any(spec.name == "velocity_command" for spec in task.sensors)
