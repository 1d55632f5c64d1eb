"""A task is data: the robot's signals, the policy's terms, and a world to learn in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.graph.symmetry import SignalMirror
from policies.signals import Commands, Sensors, Truth
from policies.specs import CommandSpec, JointSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm
from sim.controllers.teacher import LearnedTeacher, Teacher
from sim.physics.processes import check_process
from sim.robots.robot import Robot
from sim.sensors import SensorModel, SensorModels
from sim.terms.curricula.offered import CURRICULA
from sim.terms.parameters import near
from sim.terms.settings import Adjustable, Observed, remembered, settings_of, with_changes, with_settings
from sim.terms.terms import Command, CriticsView, Curriculum, Event, Privileged, Reward, Termination


@dataclass(frozen=True)
class Resumed:
    """Worlds `ids` [K] whose episodes go on from saved states, and the states [K, dim] that a policy had there."""

    ids: Tensor
    policy: Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """What one environment step returns; N worlds, every mask [N] bool, reward [N].

    `sensors` and `truth` are what follows the automatic reset of finished worlds; `terminal_sensors` and
    `terminal_truth` are those before it (equal in other worlds): a truncated episode bootstraps from them.
    `terminated` is a true end (a crash), `truncated` a time limit; never both. `resumed` are finished worlds that go on
    from saved states, if any do.
    """

    sensors: Sensors
    truth: Truth
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    terminal_sensors: Sensors
    terminal_truth: Truth
    resumed: Resumed | None = None


class Environment(Protocol):
    """N simulated robots of one task, stepped together; finished worlds reset themselves in the same step."""

    @property
    def num_worlds(self) -> int: ...
    @property
    def device(self) -> str: ...
    def reset(self) -> tuple[Sensors, Truth]:
        """Start every world anew, with the next draws of the environment's own generator."""
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


class World(Protocol):
    """Makes the environments of a task, from its terms and the family's own settings.

    Raises UserError when no such world can be made, for an unknown robot too. See `Task.substeps` and `Variation`.
    """

    def __call__(self, task: Task, num_worlds: int, seed: int, device: str, variation: Variation, /) -> Environment: ...


GROUPS = {
    "observation": "observation",
    "rewards": "rewards",
    "terminations": "terminations",
    "events": "events",
    "commands": "command_terms",
    "curriculum": "curriculum",
    "privileged": "privileged",
    "sensor_models": "sensor_models",
}
"""The first part of a setting's name, and the field of `Task` that holds the terms of that group by name."""


@dataclass(frozen=True)
class Variation:
    """How some worlds of a task differ from its own.

    `robot` names a parameter set other than the task's own; `randomized` draws dynamics anew each episode.
    `imperfections` scales the ranges of noise, disturbance, delay and randomization: 0 is the nominal world, 1 the
    task's own, more is harder. `backend` is the physics to use instead of the task's default.
    """

    robot: str = ""
    randomized: bool = False
    imperfections: float = 1.0
    backend: str = ""


@dataclass(frozen=True)
class Task:
    """Name, signals, terms and world of one task. `period` s is the control period; `episode_steps` its length.

    A task is data: `changed` makes another task with other terms, and `settings` lists every weight and parameter as
    plain nested data, {"rewards": {"track_yaw": {"weight": 0.75, "width": 0.25}}, "terminations": {"fall": {...}},
    ...}, from which `with_settings` makes a task again. The command line's flags (`--rewards.track_yaw 1.5`,
    `--rewards.track_yaw.width 0.3`) and a run's `config.yaml` use the two.

    `kind` names the mission that a deployed policy of this task runs, such as "flight" or "velocity": the bundle
    carries it, and the robot's side has an entry for each. `joints` is for a robot with position-controlled joints;
    None for a robot without.
    """

    name: str
    summary: str
    kind: str
    sensors: tuple[SensorSpec, ...]
    commands: tuple[CommandSpec, ...]
    observation: Mapping[str, ObservationTerm]
    """Observation terms, joined in this order."""
    action: ActionTerm
    period: float
    episode_steps: int
    safety: SafetyEnvelope
    world: World
    """Makes the task's environments; call `make_environment`."""
    rewards: Mapping[str, Reward] = field(default_factory=dict)
    """Reward terms: the reward is their weighted sum."""
    terminations: Mapping[str, Termination] = field(default_factory=dict)
    """Termination terms: what ends an episode before its time limit."""
    privileged: Mapping[str, Privileged] = field(default_factory=dict)
    """Terms of the critic's observation, joined in this order."""
    events: Mapping[str, Event] = field(default_factory=dict)
    """Random draws: starts, randomized parameters, disturbances."""
    command_terms: Mapping[str, Command] = field(default_factory=dict)
    """Command terms; `sensors` always holds the sensor of each."""
    curriculum: Mapping[str, Curriculum] = field(default_factory=dict)
    """Curriculum terms, which make the task harder during training."""
    curricula: Mapping[str, Curriculum] = field(default_factory=lambda: CURRICULA)
    """Curriculum terms that the task does not have, but can be given: settings for one of them add it."""
    evaluated: Mapping[str, Any] = field(default_factory=dict)
    """Settings of worlds that are not randomized; they replace the task's own, so that evaluations stay comparable."""
    sensor_models: Mapping[str, SensorModel] = field(default_factory=dict)
    """Noise, bias and age of the sensors, by name; sensors without a model are exact."""
    joints: JointSpec | None = None
    robot: Robot | None = None
    """The robot of the task, which `robo-rl robot` can simulate in real time; None for one known by its parameters."""
    guide: Callable[[Tensor], Tensor] | None = None
    """A scripted controller that learning may start from: observations [N, D] to normalised actions [N, A]."""
    teacher: Callable[[str], Teacher] | None = None
    """Makes, for a device, a controller that reads the truth; learning may imitate it."""
    evaluate_randomized: bool = False
    """Whether evaluations, too, draw the dynamics anew each episode."""
    mirror: SignalMirror | None = None
    """The mirror of the robot's signals (sim.legged.mirror.legged_mirror); None for a robot without equal sides."""
    any_rate: bool = False
    """Whether the task's physics can be stepped several times a control period."""
    substeps: int = 1
    """Steps of the environment in a control period; see `stepped`."""
    backends: tuple[str, ...] = ()
    """The physics backends (see sim.physics.backends) that the task's world can be made in, the default first; empty
    for a world with a single one."""
    evaluation: str = "flying"
    """How a policy is evaluated: a name in robo_rl.evaluation.registry."""
    recommended: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The algorithms that suit the task, the best first, each with the settings in which it differs from its defaults:
    plain data, checked when an algorithm is built from it."""

    def __post_init__(self) -> None:
        given = {spec.name: spec for spec in self.sensors}
        of_commands = {spec.name: spec for term in self.command_terms.values() for spec in term.sensors}
        object.__setattr__(self, "sensors", tuple({**given, **of_commands}.values()))
        observing = getattr(self.guide, "observing", None)
        if observing is not None:
            object.__setattr__(self, "guide", observing(self.observation_terms))

    def make_environment(
        self,
        num_worlds: int,
        seed: int,
        device: str = "cpu",
        *,
        robot: str = "",
        randomized: bool = False,
        imperfections: float = 1.0,
        backend: str = "",
    ) -> Environment:
        """N worlds of the task, which differ from its own as `Variation` says.

        UserError for a robot or a backend that the task does not have, and in a fork of a process with worlds.
        """
        check_process()
        if backend and backend not in self.backends:
            backends = ", ".join(self.backends) or "its own physics only"
            raise UserError(f"{self.name} does not run in the physics backend {backend!r}; it runs in {backends}")
        task = self if randomized else self.with_settings(self.evaluated)
        return self.world(task, num_worlds, seed, device, Variation(robot, randomized, imperfections, backend))

    def sensing(self, num_worlds: int, device: str, imperfections: float) -> SensorModels:
        """The sensors of N worlds, with noise, bias and delay `imperfections` times the task's own."""
        models = tuple(model.scaled(imperfections) for model in self.sensor_models.values())
        return SensorModels(models, {spec.name: spec.dim for spec in self.sensors}, num_worlds, device)

    def policy_graph(self, network: nn.Module, normalizer: nn.Module | None = None) -> PolicyGraph:
        """The policy graph of this task around a network [N, observation_dim] -> [N, action.dim]."""
        return PolicyGraph(
            self.sensors, self.commands, self.observation_terms, self.action, network, self.period, normalizer
        )

    def learned_teacher(self, network: nn.Module, normalizer: nn.Module | None = None) -> LearnedTeacher:
        """A teacher that observes what the policy and what the critic observe, around a network
        [N, observation_dim + critic_dim] -> [N, action.dim]."""
        view = CriticsView(self.privileged, self.period)
        return LearnedTeacher([view], network, self.action, normalizer, self.observation_terms)

    @property
    def observation_terms(self) -> tuple[ObservationTerm, ...]:
        """The observation terms in their order."""
        return tuple(self.observation.values())

    @property
    def observation_dim(self) -> int:
        return sum(term.dim for term in self.observation_terms)

    @property
    def critic_dim(self) -> int:
        """Width of the privileged observation."""
        return sum(term.dim for term in self.privileged.values())

    def changed(self, **changes: Any) -> Task:
        """This task with other terms or other fields.

        A group of terms (`observation`, `rewards`, `terminations`, `privileged`, `events`, `command_terms`,
        `curriculum`, `sensor_models`) is given by name: those given are added or replace their namesakes; None takes
        one out. Any other field is replaced. UserError for an unknown field, and for a term to take out that the task
        does not have.
        """
        for name in changes:
            if name not in self.__dataclass_fields__:
                raise UserError(f"a task has no field {name!r}{near(name, self.__dataclass_fields__)}")
        for group in GROUPS.values():
            if group in changes:
                changes[group] = with_changes(getattr(self, group), changes[group], group)
        return self._replaced(changes)

    def _replaced(self, changes: dict[str, Any]) -> Task:
        if "observation" in changes:
            changes["observation"] = remembered(changes["observation"], self.observation)
        return replace(self, **changes)

    def adjustable(self) -> dict[str, dict[str, Adjustable]]:
        """The terms that have settings: group, term's name, term."""
        found: dict[str, dict[str, Adjustable]] = {
            group: dict(getattr(self, name)) for group, name in GROUPS.items() if group != "observation"
        }
        return {"observation": {name: Observed(term) for name, term in self.observation.items()}, **found}

    def settings(self) -> dict[str, Any]:
        """Every weight and parameter of the task's terms: group, term's name, setting's name, value."""
        return {group: settings_of(terms) for group, terms in self.adjustable().items()}

    def with_settings(self, data: Mapping[str, Any]) -> Task:
        """This task with other values for some of its `settings`, or all; what is left out stays as it is.

        A reward may be given as a bare number, its weight. Settings of a curriculum that is one of `curricula` add it
        to the task. UserError, with the setting's whole name such as rewards.track_yaw.width, for an unknown one or a
        wrong value.
        """
        changes: dict[str, Any] = {}
        for group, own in data.items():
            if group not in GROUPS:
                raise UserError(f"there are no settings {group!r} in a task{near(group, GROUPS)}")
            terms = self.adjustable()[group]
            if group == "curriculum":
                terms |= {name: term for name, term in self.curricula.items() if name in own and name not in terms}
            terms = with_settings(terms, own, group)
            changes[GROUPS[group]] = {n: t.term if isinstance(t, Observed) else t for n, t in terms.items()}
        return self._replaced(changes)

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
        steps = self.episode_steps * substeps
        return replace(self, period=self.period / substeps, episode_steps=steps, substeps=substeps)
