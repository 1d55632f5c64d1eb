"""What the runner expects of a learning algorithm, and the algorithms by name. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from policies.errors import UserError

if TYPE_CHECKING:
    from policies.graph.policy_graph import PolicyGraph
    from sim.task import Task


class TrainingDiverged(RuntimeError):
    """Training produces nothing finite any more: going on would learn nothing. The message names the mend."""


class AlgorithmConfig(Protocol):
    """A frozen dataclass that checks its fields when built: every field is a flag of `robo-rl train`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Algorithm(Protocol):
    """A training under way.

    The runner calls `iterate` until `iteration` reaches `total_iterations`. Everything that decides the future goes
    through `state_dict`: a new object of the same config, loaded from it, goes on bit for bit (CPU, same threads).
    """

    @property
    def graph(self) -> PolicyGraph:
        """The deployable policy as it stands."""
        ...

    @property
    def iteration(self) -> int:
        """Iterations done."""
        ...

    @property
    def steps(self) -> int:
        """Environment steps done, summed over worlds."""
        ...

    @property
    def total_iterations(self) -> int: ...

    def iterate(self) -> dict[str, float]:
        """Learn for one iteration and return its metrics."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, normalisers, environment, policy state and random states.

        Under "graph" stands the policy graph's own `state_dict`, under "iteration" and "steps" those numbers.
        Only tensors, numbers, strings, None, lists and dicts, so that loading runs no foreign code.
        """
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class AlgorithmEntry:
    """Where an algorithm lives; `commands` names the commands it is the default for, empty for any.

    Its module has a function `make_graph(config, task)` besides, the policy graph that its trainer trains.
    """

    module: str
    config: str
    trainer: str
    commands: tuple[str, ...] = ()

    def config_class(self) -> type[Any]:
        found: type[Any] = getattr(import_module(self.module), self.config)
        return found

    def recommended(self, task: Task | None) -> AlgorithmConfig:
        """The settings to start from: those that the algorithm's module recommends for the task, else its defaults."""
        special = getattr(import_module(self.module), "RECOMMENDED", {})
        config: AlgorithmConfig = special[task.name] if task and task.name in special else self.config_class()()
        return config

    def make_graph(self, config: AlgorithmConfig, task: Task) -> PolicyGraph:
        """The policy graph that a training with `config` has, of fresh weights, on the CPU; no world is built."""
        graph: PolicyGraph = import_module(self.module).make_graph(config, task)
        return graph

    def build(self, config: AlgorithmConfig, task: Task, seed: int, device: str) -> Algorithm:
        algorithm: Algorithm = getattr(import_module(self.module), self.trainer)(config, task, seed, device)
        return algorithm


ALGORITHMS: dict[str, AlgorithmEntry] = {
    "flight": AlgorithmEntry("robo_rl.algorithms.flight", "FlightConfig", "FlightTrainer", ("rotor_speed",)),
    "ppo": AlgorithmEntry("robo_rl.algorithms.ppo.trainer", "PpoConfig", "PpoTrainer"),
}


def find_algorithm(name: str) -> AlgorithmEntry:
    """The algorithm called `name`; a UserError that lists them all otherwise."""
    if name not in ALGORITHMS:
        raise UserError(f"there is no algorithm {name!r}; algorithms: {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def default_algorithm(task: Task) -> str:
    """The algorithm to train `task` with when none is named: one made for its commands, else ppo."""
    commands = tuple(command.name for command in task.commands)
    return next((name for name, entry in ALGORITHMS.items() if entry.commands == commands), "ppo")


def algorithm_name(config: AlgorithmConfig) -> str:
    """The name of the algorithm that `config` configures."""
    for name, entry in ALGORITHMS.items():
        if entry.config_class() is type(config):
            return name
    raise UserError(f"{type(config).__name__} configures no known algorithm; algorithms: {', '.join(ALGORITHMS)}")
