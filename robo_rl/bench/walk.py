"""`bench walk`: train go1-velocity-flat from several seeds; time until it walks, and how well it walks in the end.

The clock runs while the trainer is built and while it trains, and stops during evaluations, which only the benchmark
needs. Every `every_seconds` of training the deterministic policy walks on held-out commands with noise, randomization
and pushes on; when it reaches the bar in the few worlds of that evaluation, one with all worlds must confirm it. Every
seed is reported, the failed ones too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from policies.errors import UserError
from policies.validation import require
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.algorithms.registry import TrainingDiverged, recommended_config
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.evaluation.walking import DEVELOPMENT_SEED, WalkingEvaluation, evaluate_walking
from robo_rl.training import runner
from robo_rl.training.config import TrainConfig
from sim.tasks import find_task

TASK = "go1-velocity-flat"
ERROR_BAR, FALL_BAR = 0.20, 0.01
"""m/s, and share of 20 s episodes."""


def recommended() -> PpoConfig:
    config = recommended_config("ppo", find_task(TASK))
    assert isinstance(config, PpoConfig)
    return config


@dataclass(frozen=True)
class Settings:
    """Train and evaluate go1-velocity-flat."""

    seeds: int = 3
    """Number of trainings, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training."""
    every_seconds: float = 15.0
    """Training time in s between evaluations."""
    quick_worlds: int = 256
    """Worlds of the evaluations during training."""
    worlds: int = 1000
    """Worlds of the evaluation that confirms the bar, and of the last one."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics takes all cores."""
    development: bool = False
    """Evaluate on the development seed instead of the benchmarks' own: for choosing settings."""
    keep: Path | None = None
    """Folder for the runs, one seed-N each, to export or to play afterwards."""
    algorithm: PpoConfig = field(default_factory=recommended)
    """Settings of PPO."""

    def __post_init__(self) -> None:
        for name in ("seeds", "quick_worlds", "worlds", "threads"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)
        require(self, "every_seconds", above=0.0)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for each seed."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
        rows = [keep(f"seed {seed}", partial(_train, seed, settings)) for seed in seeds]
    finally:
        torch.set_num_threads(before)
    times = [row["seconds_to_0.20"] for row in rows]
    return {
        "seeds": rows,
        "median_seconds_to_0.20": None if None in times else median(times),
        "worst_seconds_to_0.20": None if None in times else max(times),
        "median_final_velocity_error": median(row["final_velocity_error"] for row in rows),
        "evaluation_seed": _seed(settings),
        "failures": [f"seed {row['seed']}: {row['diverged']}" for row in rows if row["diverged"]],
    }


def _seed(settings: Settings) -> int:
    return DEVELOPMENT_SEED if settings.development else BENCHMARK_SEED


def _train(seed: int, settings: Settings) -> Row:
    folder = None if settings.keep is None else settings.keep / f"seed-{seed}"
    if folder is not None and folder.exists():
        raise UserError(f"{folder} exists; name another folder with --keep")
    task = find_task(TASK)
    clock = Clock()
    reached, diverged = None, ""
    curve: list[dict[str, float]] = []
    with clock:
        trainer = PpoTrainer(settings.algorithm, task, seed)

    def evaluation_of(worlds: int) -> WalkingEvaluation:
        return evaluate_walking(trainer.graph, task, worlds, _seed(settings))

    due = settings.every_seconds
    while trainer.iteration < trainer.total_iterations:
        with clock:
            try:
                trainer.iterate()
            except TrainingDiverged as error:
                diverged = str(error)
                break
        if clock.seconds < due:
            continue
        due = clock.seconds + settings.every_seconds
        evaluation = evaluation_of(settings.quick_worlds)
        curve.append(point(clock.seconds, trainer.iteration, trainer.steps, evaluation))
        print(f"seed {seed}, {_text(curve[-1])}", flush=True)
        if reached is None and _good(evaluation) and _good(evaluation_of(settings.worlds)):
            reached = clock.seconds
            print(f"seed {seed}: reached the bar after {reached:.0f} s", flush=True)
    if folder is not None:
        runner.create(folder, TrainConfig(TASK, settings.algorithm, seed, threads=settings.threads))
        runner.save(folder, trainer, clock.seconds)
    final = evaluation_of(settings.worlds)
    curve.append(point(clock.seconds, trainer.iteration, trainer.steps, final))
    if reached is None and _good(final):
        reached = clock.seconds
    print(f"seed {seed} in the end, {_text(curve[-1])}", flush=True)
    summary = final.summary()
    return {
        "seed": seed,
        "seconds_to_0.20": reached,
        "final_velocity_error": summary["velocity_error_m_s"]["value"],
        "final_velocity_error_interval": [summary["velocity_error_m_s"][key] for key in ("low", "high")],
        "final_yaw_rate_error": summary["yaw_rate_error_rad_s"]["value"],
        "final_fall_rate": summary["fall_rate"]["value"],
        "final_fall_rate_interval": [summary["fall_rate"][key] for key in ("low", "high")],
        "train_seconds": clock.seconds,
        "environment_steps": trainer.steps,
        "diverged": diverged,
        "curve": curve,
    }


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


def point(seconds: float, iteration: int, steps: int, evaluation: WalkingEvaluation) -> dict[str, float]:
    """One point of a curve: time and steps spent, and the evaluation at that time."""
    return {
        "seconds": seconds,
        "iteration": iteration,
        "steps": steps,
        "worlds": evaluation.episodes,
        "velocity_error": evaluation.velocity_error.value,
        "yaw_rate_error": evaluation.yaw_rate_error.value,
        "fall_rate": evaluation.fall_rate.value,
        "return": evaluation.episode_return.value,
    }


def _good(evaluation: WalkingEvaluation) -> bool:
    return evaluation.velocity_error.value <= ERROR_BAR and evaluation.fall_rate.value <= FALL_BAR


def _text(at: dict[str, float]) -> str:
    return (
        f"{at['seconds']:.0f} s, iteration {at['iteration']}: error {at['velocity_error']:.3f} m/s, "
        f"falls {100 * at['fall_rate']:.1f} %, return {at['return']:.1f}"
    )
