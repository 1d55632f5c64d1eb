"""A training of a walking task whose clock stops during evaluations, as `bench walk` and `bench own` measure it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import UserError
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.evaluation.gait import Gait, evaluate_gait
from robo_rl.evaluation.walking import DEVELOPMENT_SEED, WalkingEvaluation, evaluate_walking
from robo_rl.training import runner
from robo_rl.training.config import TrainConfig
from sim.task import Task


class Clock:
    """Adds up the time in s spent in its `with` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def __enter__(self) -> Clock:
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._started


@dataclass(frozen=True)
class Bar:
    """What a walking policy reaches: m/s, share of 20 s episodes that end in a fall, and the instantaneous error of the
    yaw rate in rad/s, which is free by default."""

    velocity_error: float
    fall_rate: float
    yaw_error: float = math.inf

    def holds(self, evaluation: WalkingEvaluation) -> bool:
        return (
            evaluation.velocity_error.value <= self.velocity_error
            and evaluation.fall_rate.value <= self.fall_rate
            and evaluation.yaw.instant.value <= self.yaw_error
        )


class WalkTraining:
    """PPO on `task`, which runs know by `name`.

    The clock runs while the trainer is built and while it trains. `development` evaluates on the development seed
    instead of the benchmarks' own. The run goes to `folder`, where one is given; UserError if that exists.
    """

    def __init__(
        self, name: str, task: Task, config: PpoConfig, seed: int, development: bool, folder: Path | None
    ) -> None:
        if folder is not None and folder.exists():
            raise UserError(f"{folder} exists; name another folder with --keep")
        self._task, self._folder, self._config, self._seed, self._name = task, folder, config, seed, name
        self._evaluation_seed = evaluation_seed(development)
        self.clock = Clock()
        self.diverged = ""
        """Why training ended early; empty if it did not."""
        self.curve: list[dict[str, float]] = []
        """The points of the evaluations that were noted."""
        self.metrics: dict[str, float] = {}
        """Those of the last iteration."""
        with self.clock:
            self.trainer = PpoTrainer(config, task, seed)

    def until_evaluations(self, every_seconds: float, most_seconds: float = math.inf) -> Iterator[None]:
        """Train to the end, or until the clock shows `most_seconds`; yields whenever an evaluation is due."""
        due = every_seconds
        while self.trainer.iteration < self.trainer.total_iterations and self.clock.seconds < most_seconds:
            with self.clock:
                try:
                    self.metrics = self.trainer.iterate()
                except TrainingDiverged as error:
                    self.diverged = str(error)
                    return
            if self.clock.seconds >= due:
                due = self.clock.seconds + every_seconds
                yield

    def evaluate(self, worlds: int) -> WalkingEvaluation:
        return evaluate_walking(self.trainer.graph, self._task, worlds, self._evaluation_seed)

    def gait(self) -> Gait:
        """How the policy walks under fixed commands; UserError on terrain."""
        return evaluate_gait(self.trainer.graph, self._task, self._evaluation_seed)

    def note(self, evaluation: WalkingEvaluation) -> dict[str, float]:
        """The evaluation as a new point of the curve."""
        self.curve.append(point(self.clock.seconds, self.trainer.iteration, self.trainer.steps, evaluation))
        return self.curve[-1]

    def save(self, threads: int) -> None:
        """Write the run, to export or to play it afterwards."""
        if self._folder is not None:
            terms = self._task.settings()
            runner.create(self._folder, TrainConfig(self._name, self._config, self._seed, threads=threads, terms=terms))
            runner.save(self._folder, self.trainer, self.clock.seconds)

    def results(self, final: WalkingEvaluation, prefix: str = "") -> dict[str, Any]:
        """What a row says of the end of the training."""
        error, falls = final.velocity_error, final.fall_rate
        return {
            f"{prefix}velocity_error": error.value,
            f"{prefix}velocity_error_interval": [error.low, error.high],
            f"{prefix}fall_rate": falls.value,
            f"{prefix}fall_rate_interval": [falls.low, falls.high],
            f"{prefix}yaw_error_stride_mean": final.yaw.stride_mean.value,
            "yaw_swing": final.yaw.swing.value,
            "standing_yaw_error": final.yaw.standing.value,
            "train_seconds": self.clock.seconds,
            "environment_steps": self.trainer.steps,
            "diverged": self.diverged,
            "curve": self.curve,
        }


def evaluation_seed(development: bool) -> int:
    return DEVELOPMENT_SEED if development else BENCHMARK_SEED


def point(seconds: float, iteration: int, steps: int, evaluation: WalkingEvaluation) -> dict[str, float]:
    """One point of a curve: time and steps spent, and the evaluation at that time."""
    return {
        "seconds": seconds,
        "iteration": iteration,
        "steps": steps,
        "worlds": evaluation.episodes,
        "velocity_error": evaluation.velocity_error.value,
        "yaw_rate_error": evaluation.yaw.instant.value,
        "fall_rate": evaluation.fall_rate.value,
        "return": evaluation.episode_return.value,
    }
