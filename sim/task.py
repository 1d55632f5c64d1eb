"""A task is data: the robot's signals, the policy's terms, and a world to learn in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.graph.symmetry import SignalMirror
from policies.signals import Commands, Sensors, Truth
from policies.specs import CommandSpec, JointSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm
from sim.robots.legged import LeggedRobot


@dataclass(frozen=True)
class Step:
    """What one environment step returns; N worlds, every mask [N] bool, reward [N].

    `sensors` and `truth` are what follows the automatic reset of finished worlds; `terminal_sensors` and
    `terminal_truth` are what stood before it (equal elsewhere): a truncated episode bootstraps from those.
    `terminated` is a true end (a crash), `truncated` a time limit; never both.
    """

    sensors: Sensors
    truth: Truth
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    terminal_sensors: Sensors
    terminal_truth: Truth


class Environment(Protocol):
    """N simulated robots of one task, stepped together; finished worlds reset themselves in the same step."""

    @property
    def num_worlds(self) -> int: ...
    @property
    def device(self) -> str: ...
    def reset(self) -> tuple[Sensors, Truth]:
        """Start every world anew; the draw goes on from the environment's own generator."""
        ...

    def step(self, commands: Commands) -> Step: ...
    def critic_observation(self, truth: Truth) -> Tensor:
        """The privileged observation [N, D] of a critic."""
        ...

    def snapshot(self) -> dict[str, Tensor]:
        """Everything that decides the future, the random state included; plain tensors."""
        ...

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue bit for bit from a snapshot (CPU)."""
        ...


class MakeEnvironment(Protocol):
    """`robot` names a parameter set other than the task's own; `randomized` draws dynamics anew each episode.

    `imperfections` scales the ranges of noise, disturbance, delay and randomization: 0 is the nominal world, 1 the
    task's own, more is harder. A task with `any_rate` takes `substeps` besides: its environment is then stepped so many
    times a control period.
    """

    def __call__(
        self,
        num_worlds: int,
        seed: int,
        device: str = "cpu",
        *,
        robot: str = ...,
        randomized: bool = False,
        imperfections: float = 1.0,
    ) -> Environment: ...


@dataclass(frozen=True)
class Task:
    """Name, signals, terms and world of one task. `period` s is the control period; `episode_steps` its length.

    `kind` names the mission that a deployed policy of this task runs, such as "flight" or "velocity": the bundle
    carries it, and the robot's side has an entry for each. `joints` is what a robot with position-controlled joints
    says of them; None for a robot without.
    """

    name: str
    summary: str
    kind: str
    sensors: tuple[SensorSpec, ...]
    commands: tuple[CommandSpec, ...]
    observation: tuple[ObservationTerm, ...]
    action: ActionTerm
    period: float
    episode_steps: int
    critic_dim: int
    safety: SafetyEnvelope
    make_environment: MakeEnvironment
    joints: JointSpec | None = None
    robot: LeggedRobot | None = None
    """The robot of the task, which `robo-rl robot` can simulate in real time; None for one known by its parameters."""
    guide: Callable[[Tensor], Tensor] | None = None
    """A scripted controller that learning may start from: observations [N, D] to normalised actions [N, A]."""
    evaluate_randomized: bool = False
    """Whether evaluations, too, draw the dynamics anew each episode."""
    mirror: SignalMirror | None = None
    """How the robot's signals look in a mirror (sim.legged.mirror.legged_mirror); None for a robot without equal
    sides."""
    any_rate: bool = False
    """Whether the task's physics can be stepped several times a control period."""
    evaluation: str = "flying"
    """How a policy is evaluated: a name in robo_rl.evaluation.registry."""
    recommended: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The algorithms that suit the task, the best first, each with the settings in which it differs from its defaults:
    plain data, checked when an algorithm is built from it."""

    def policy_graph(self, network: nn.Module, normalizer: nn.Module | None = None) -> PolicyGraph:
        """The policy graph of this task around a network [N, observation_dim] -> [N, action.dim]."""
        return PolicyGraph(self.sensors, self.commands, self.observation, self.action, network, self.period, normalizer)

    @property
    def observation_dim(self) -> int:
        return sum(term.dim for term in self.observation)

    def stepped(self, substeps: int) -> Task:
        """The same world stepped `substeps` times a control period, to fly policies of this one in: its `period` and
        `episode_steps` are those of the steps. UserError where the physics can't."""
        if substeps == 1:
            return self
        if not self.any_rate:
            raise UserError(
                f"{self.name} is stepped at its own {1.0 / self.period:g} Hz only: its physics moves in whole control "
                "periods; leave out --rate, or take a quadrotor task"
            )
        make: Callable[..., Environment] = self.make_environment
        return replace(
            self,
            period=self.period / substeps,
            episode_steps=self.episode_steps * substeps,
            make_environment=partial(make, substeps=substeps),
        )
