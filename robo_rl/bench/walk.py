"""`bench walk`: train go1-velocity-flat from several seeds; time until it walks, and how well it walks in the end.

The clock runs while the trainer is built and while it trains, and stops during evaluations, which only the benchmark
needs. Every `every_seconds` of training the deterministic policy walks on held-out commands with noise, randomization
and pushes on; when it reaches the bar in the few worlds of that evaluation, one with all worlds must confirm it. Every
seed is reported, the failed ones too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from policies.validation import require
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.walk_training import WalkTraining, evaluation_seed
from robo_rl.evaluation.walking import WalkingEvaluation
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
        "evaluation_seed": evaluation_seed(settings.development),
        "failures": [f"seed {row['seed']}: {row['diverged']}" for row in rows if row["diverged"]],
    }


def _train(seed: int, settings: Settings) -> Row:
    folder = None if settings.keep is None else settings.keep / f"seed-{seed}"
    training = WalkTraining(TASK, find_task(TASK), settings.algorithm, seed, settings.development, folder)
    reached = None
    for _ in training.until_evaluations(settings.every_seconds):
        evaluation = training.evaluate(settings.quick_worlds)
        print(f"seed {seed}, {_text(training.note(evaluation))}", flush=True)
        if reached is None and _good(evaluation) and _good(training.evaluate(settings.worlds)):
            reached = training.clock.seconds
            print(f"seed {seed}: reached the bar after {reached:.0f} s", flush=True)
    training.save(settings.threads)
    final = training.evaluate(settings.worlds)
    print(f"seed {seed} in the end, {_text(training.note(final))}", flush=True)
    if reached is None and _good(final):
        reached = training.clock.seconds
    return {"seed": seed, "seconds_to_0.20": reached, **training.results(final, "final_")}


def _good(evaluation: WalkingEvaluation) -> bool:
    return evaluation.velocity_error.value <= ERROR_BAR and evaluation.fall_rate.value <= FALL_BAR


def _text(at: dict[str, float]) -> str:
    return (
        f"{at['seconds']:.0f} s, iteration {at['iteration']}: error {at['velocity_error']:.3f} m/s, "
        f"falls {100 * at['fall_rate']:.1f} %, return {at['return']:.1f}"
    )
