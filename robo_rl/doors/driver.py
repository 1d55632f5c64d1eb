"""The common part of all doors: a task as plain tensors, an action in and an observation out.

Observation and action are those of the task's own terms, the same terms that an exported policy contains; only the
network between them belongs to the other tool. N worlds, A action channels, D observation channels, C critic channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.signals import Sensors, State, Truth
from sim.task import Environment, Task

LIMIT = 1e6
"""Observations are clipped to +-this, far beyond what healthy sensors report, so that their space is bounded."""


@dataclass(frozen=True)
class Transition:
    """The result of one step.

    `observation` [N, D] and `critic` [N, C] are those after the restart of finished worlds; `final_observation` [K, D]
    is the last one of the `finished` worlds, indices [K], before it. `reward`, `terminated` and `truncated` are [N].
    """

    observation: Tensor
    critic: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    finished: Tensor
    final_observation: Tensor


class Driver:
    """N worlds of a task with the states of its observation terms."""

    def __init__(self, task: Task, environment: Environment) -> None:
        self.environment = environment
        self._graph = task.policy_graph(nn.Identity()).to(environment.device)
        self._sensors, self._truth = Sensors({}), Truth({})
        self._state = State({})

    @property
    def truth(self) -> Truth:
        """The current privileged state."""
        return self._truth

    @torch.no_grad()
    def reset(self) -> tuple[Tensor, Tensor]:
        """Restart every world; returns the observation [N, D] and the critic's [N, C]."""
        self._sensors, self._truth = self.environment.reset()
        self._state = self._graph.initial_state(self.environment.num_worlds, self.environment.device)
        return self.observe()

    @torch.no_grad()
    def observe(self) -> tuple[Tensor, Tensor]:
        """The current observation [N, D] and the critic's [N, C]."""
        observation = self._graph.observe(self._sensors, self._state).clamp(-LIMIT, LIMIT)
        return observation, self.environment.critic_observation(self._truth)

    @torch.no_grad()
    def step(self, action: Tensor) -> Transition:
        """Run one control period with normalised actions [N, A], which the action term bounds.

        UserError for NaN, which would stay in its world.
        """
        unknown = action.isnan().any(-1)
        if bool(unknown.any()):
            count, first = int(unknown.sum()), int(unknown.nonzero()[0, 0])
            raise UserError(f"actions must be numbers, got NaN for {count} of {len(action)} robots, first for {first}")
        commands, state = self._graph.apply_action(action, self._sensors, self._state)
        step = self.environment.step(commands)
        done = step.terminated | step.truncated
        finished = done.nonzero()[:, 0]
        # Before reset_where overwrites the states of finished worlds.
        final = self._graph.observe(
            Sensors({name: value[finished] for name, value in step.terminal_sensors.items()}),
            State({name: value[finished] for name, value in state.items()}),
        )
        self._sensors, self._truth = step.sensors, step.truth
        self._state = self._graph.reset_where(state, done)
        observation, critic = self.observe()
        return Transition(
            observation=observation,
            critic=critic,
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            finished=finished,
            final_observation=final.clamp(-LIMIT, LIMIT),
        )


def action_bounds(task: Task) -> tuple[Tensor, Tensor]:
    """The lowest and highest action [A] that the task's action term does not clip."""
    far = torch.full((1, task.action.dim), LIMIT)
    return task.action.bound(-far)[0], task.action.bound(far)[0]
