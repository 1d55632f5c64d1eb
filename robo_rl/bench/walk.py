"""`bench walk`: train go1-velocity-flat from several seeds; time until it walks, and how well it walks in the end.

The clock runs while the trainer is built and while it trains, and stops during evaluations, which only the benchmark
needs. Every `every_seconds` of training the deterministic policy walks on held-out commands with noise, randomization
and pushes on; when it reaches a bar in the few worlds of that evaluation, one with all worlds must confirm it. In the
end the gait is measured under fixed commands, too. Every seed is reported, the failed ones too.
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
from robo_rl.bench.walk_training import Bar, WalkTraining, evaluation_seed
from sim.tasks import find_task

TASK = "go1-velocity-flat"
BARS = {"seconds_to_0.20": Bar(0.20, 0.01), "seconds_to_both": Bar(0.20, 0.01, 0.25)}
"""The times that are measured, and what is reached then: without the yaw rate, and with it."""


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
    document: dict[str, Any] = {"seeds": rows}
    for name in BARS:
        times = [row[name] for row in rows]
        document[f"median_{name}"] = None if None in times else median(times)
        document[f"worst_{name}"] = None if None in times else max(times)
    return {
        **document,
        "median_final_velocity_error": median(row["final_velocity_error"] for row in rows),
        "evaluation_seed": evaluation_seed(settings.development),
        "failures": [f"seed {row['seed']}: {row['diverged']}" for row in rows if row["diverged"]],
    }


def _train(seed: int, settings: Settings) -> Row:
    folder = None if settings.keep is None else settings.keep / f"seed-{seed}"
    training = WalkTraining(TASK, find_task(TASK), settings.algorithm, seed, settings.development, folder)
    reached: dict[str, float | None] = dict.fromkeys(BARS)
    for _ in training.until_evaluations(settings.every_seconds):
        evaluation = training.evaluate(settings.quick_worlds)
        print(f"seed {seed}, {_text(training.note(evaluation))}", flush=True)
        near = [name for name, bar in BARS.items() if reached[name] is None and bar.holds(evaluation)]
        confirming = training.evaluate(settings.worlds) if near else evaluation
        for name in near:
            if BARS[name].holds(confirming):
                reached[name] = training.clock.seconds
                print(f"seed {seed}: {name.replace('_', ' ')} are {training.clock.seconds:.0f}", flush=True)
    training.save(settings.threads)
    final = training.evaluate(settings.worlds)
    print(f"seed {seed} in the end, {_text(training.note(final))}", flush=True)
    for name, bar in BARS.items():
        if reached[name] is None and bar.holds(final):
            reached[name] = training.clock.seconds
    gait = training.gait()
    return {
        "seed": seed,
        **reached,
        "final_yaw_error": final.yaw.instant.value,
        **gait.figures(),
        **training.results(final, "final_"),
        "responses": gait.summary()["responses"],
    }


def _text(at: dict[str, float]) -> str:
    return (
        f"{at['seconds']:.0f} s, iteration {at['iteration']}: error {at['velocity_error']:.3f} m/s, yaw "
        f"{at['yaw_rate_error']:.3f} rad/s, falls {100 * at['fall_rate']:.1f} %, return {at['return']:.1f}"
    )
