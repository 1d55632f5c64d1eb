"""A policy in its task's world, one control period at a time, for films and the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from deploy.bundle.reader import Bundle
from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Sensors, State, Truth
from robo_rl.evaluation.flying import HELD_OUT_SEED, WithCurriculum, pilot_for
from robo_rl.evaluation.walking import WithTerrain
from sim.task import Task


class Show:
    """`worlds` robots under one policy, with the imperfections of an evaluation; finished worlds restart.

    `seconds` is the time since the start or the last `restart`, `truth` the present state; `restarts` counts calls of
    `restart`, `falls` the episodes that ended before their time limit. Raises UserError when the policy was made for
    other signals than the task's.
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
        self.environment = task.make_environment(
            worlds, seed, randomized=task.evaluate_randomized, imperfections=imperfections
        )
        if isinstance(self.environment, WithCurriculum):
            self.environment.finish_curriculum()
        elif isinstance(self._scenario, WithCurriculum):
            self._scenario.finish_curriculum()
        self._command: torch.Tensor | None = None
        self.truth: Truth
        self.sensors: Sensors
        self.seconds = 0.0
        self.restarts, self.falls = -1, 0
        self._steps = 0
        self.restart()
        if command is not None:
            self.command(command)

    @property
    def worlds(self) -> int:
        return self.environment.num_worlds

    def command(self, velocity: Sequence[float] | None) -> None:
        """Command every robot (forward m/s, left m/s, yaw rate rad/s) until the next call; None: the task draws.

        The command that the policy observes changes no faster than on the robot (see VelocityCommands). Raises
        UserError for a task without a velocity command.
        """
        if not commands(self.task):
            raise UserError(f"{self.task.name} takes no velocity command; leave --command out")
        if velocity is None:
            self._command = None
            return
        self._command = torch.tensor(list(velocity), dtype=torch.float32)
        if not bool(self._command.isfinite().all()):
            raise UserError(f"--command must hold three finite numbers, got {list(velocity)}")
        self._apply_user_command()

    def push(self, velocity: Sequence[float]) -> None:
        """Push every robot: change its velocity at once by (x, y, z) m/s in the world frame.

        Raises UserError for a task whose robots can't be pushed.
        """
        kick = getattr(self._scenario, "push", None)
        if kick is None:
            raise UserError(f"the robots of {self.task.name} can't be pushed")
        kick(torch.arange(self.worlds), torch.tensor(list(velocity), dtype=torch.float32))

    @property
    def grounds(self) -> tuple[str, ...]:
        """The kinds of ground; empty where it is flat."""
        scenario = self._scenario
        return tuple(scenario.terrain_places()[0]) if isinstance(scenario, WithTerrain) else ()

    @property
    def levels(self) -> int:
        """Number of levels of difficulty of each kind of ground; 0 where it is flat."""
        return int(self._scenario.tiles.terrain.rows) if self.grounds else 0

    def go_to(self, ground: str, level: int) -> None:
        """Restart on ground of this kind and level, 0 being the easiest, and stay there.

        Raises UserError for a task on flat ground and for an unknown kind or level.
        """
        if not self.grounds:
            raise UserError(f"{self.task.name} walks on flat ground; leave --ground and --level out")
        self._scenario.fix_level(level, ground)
        self.restart()

    @property
    def _scenario(self) -> Any:
        return getattr(self.environment, "scenario", None)

    def _apply_user_command(self) -> None:
        """Set the given command again, because the scenario draws another one in each new episode."""
        if self._command is not None:
            self._scenario.commands.ask(torch.arange(self.worlds), self._command)

    @torch.no_grad()
    def restart(self) -> None:
        """Restart every world."""
        self.sensors, self.truth = self.environment.reset()
        self._state = self._pilot.initial_state(self.worlds, "cpu")
        self._apply_user_command()
        self.seconds, self._steps = 0.0, 0
        self.restarts += 1

    @torch.no_grad()
    def step(self) -> None:
        """One control period."""
        orders, state = self._pilot.step(self.sensors, self._state)
        done = self.environment.step(orders)
        self.sensors, self.truth, self._state = done.sensors, done.truth, state
        ended = done.terminated | done.truncated
        if bool(ended.any()):
            fresh = self._pilot.initial_state(self.worlds, "cpu")
            self._state = State({name: torch.where(ended[:, None], fresh[name], state[name]) for name in state})
            self.falls += int(done.terminated.sum())
            self._apply_user_command()
        self._steps += 1
        self.seconds = self._steps * self.task.period


def commands(task: Task) -> bool:
    """Whether the task's robot takes a velocity command."""
    return any(spec.name == "velocity_command" for spec in task.sensors)
