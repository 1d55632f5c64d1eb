"""What the runner expects of a learning algorithm, and the algorithms by name. Importing this needs no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from policies.errors import UserError
from robo_rl.training.strict import structured

if TYPE_CHECKING:
    from policies.graph.policy_graph import PolicyGraph
    from sim.controllers.teacher import LearnedTeacher
    from sim.task import Task


class TrainingDiverged(RuntimeError):
    """Training produces only non-finite values. The message names the fix."""


RUN = {"run": True}
"""Metadata of a field that names a run, FOLDER or KEY=FOLDER, or several: a training keeps copies of them."""


class AlgorithmConfig(Protocol):
    """A frozen dataclass that checks its fields when built: every field is a flag of `robo-rl train`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Algorithm(ABC):
    """A training in progress.

    The runner calls `iterate` until `iteration` reaches `total_iterations`. Everything that decides the future goes
    through `state_dict`: a new object of the same config, loaded from it, continues bit for bit (CPU, same threads).
    """

    iteration: int = 0
    """Iterations done."""
    steps: int = 0
    """Environment steps done, summed over worlds."""
    total_iterations: int
    later_metrics: ClassVar[tuple[str, ...]] = ("episode_return", "episode_length", "terminated")
    """Metrics that the first iteration may lack."""

    def enter(self, run_dir: Path) -> None:
        """Called once, before a checkpoint is loaded: `run_dir` is the folder for data that is too large for a
        checkpoint, and for the last states of worlds that fail in the physics."""
        return

    @abstractmethod
    def iterate(self) -> dict[str, float]:
        """Learn for one iteration and return its metrics."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, normalisers, environment, policy state and random states.

        "graph" holds the `state_dict` of the policy, "iteration" and "steps" those numbers. Only tensors, numbers,
        strings, None, lists and dicts, so that loading runs no foreign code.
        """

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from `state`, on the device of this training."""

    def saved(self) -> None:
        """Called when the last `state_dict` is on disk: from now on the training is resumed from there."""
        return


@dataclass(frozen=True)
class AlgorithmEntry:
    """Where an algorithm lives: `module`, and in it the dataclass of its settings and its trainer.

    The module also has a function `make_policy(config, task)`: the policy graph that its trainer trains, or the learned
    teacher.
    """

    module: str
    config: str
    trainer: str
    shares_worlds: bool = False
    """Whether several processes can share one training."""
    like: str = ""
    """The algorithm whose settings it has, too: what a task recommends for that one holds for this one."""

    def config_class(self) -> type[Any]:
        found: type[Any] = getattr(import_module(self.module), self.config)
        return found

    def make_policy(self, config: AlgorithmConfig, task: Task) -> PolicyGraph | LearnedTeacher:
        """The policy or teacher that a training with `config` trains, with new weights, on the CPU; builds no world."""
        policy: PolicyGraph | LearnedTeacher = import_module(self.module).make_policy(config, task)
        return policy

    def build(self, config: AlgorithmConfig, task: Task, seed: int, device: str) -> Algorithm:
        algorithm: Algorithm = getattr(import_module(self.module), self.trainer)(config, task, seed, device)
        return algorithm


ALGORITHMS: dict[str, AlgorithmEntry] = {
    "distill": AlgorithmEntry("robo_rl.algorithms.distill.trainer", "DistillConfig", "make_trainer", True, "ppo"),
    "flight": AlgorithmEntry("robo_rl.algorithms.flight", "FlightConfig", "FlightTrainer"),
    "ppo": AlgorithmEntry("robo_rl.algorithms.ppo.trainer", "PpoConfig", "PpoTrainer", shares_worlds=True),
    "sac": AlgorithmEntry("robo_rl.algorithms.sac.trainer", "SacConfig", "SacTrainer"),
}
"""Every algorithm; a new one is its own files and one line here."""


def find_algorithm(name: str) -> AlgorithmEntry:
    """The algorithm called `name`; a UserError that lists them all otherwise."""
    if name not in ALGORITHMS:
        raise UserError(f"there is no algorithm {name!r}; algorithms: {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def default_algorithm(task: Task | None) -> str:
    """The default algorithm for `task`: the first that it recommends, else ppo."""
    return next(iter(task.recommended if task else ()), "ppo")


def recommended_config(name: str, task: Task | None) -> AlgorithmConfig:
    """The default settings of the algorithm `name`, with those that `task` recommends.

    Raises UserError for an unknown algorithm, and for a recommendation that its settings refuse.
    """
    recommended = task.recommended if task else {}
    given = {**recommended.get(find_algorithm(name).like, {}), **recommended.get(name, {})}
    source = f"what {task.name if task else 'no task'} recommends for {name}"
    config: AlgorithmConfig = structured(given, find_algorithm(name).config_class(), source)
    return config


def algorithm_name(config: AlgorithmConfig) -> str:
    """The name of the algorithm that `config` configures."""
    for name, entry in ALGORITHMS.items():
        if entry.config_class() is type(config):
            return name
    raise UserError(f"{type(config).__name__} configures no known algorithm; algorithms: {', '.join(ALGORITHMS)}")
