"""`bench hover`: train crazyflie-hover from several seeds; time to train and success from 1000 held-out starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch

from policies.validation import require
from robo_rl.algorithms.flight import FlightConfig, FlightTrainer
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.oracle import savable
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.evaluation.flying import evaluate
from sim.tasks import find_task

TASK = "crazyflie-hover"


def recommended(task: str) -> FlightConfig:
    """The settings of the flight trainer that a task recommends."""
    config = recommended_config("flight", find_task(task))
    assert isinstance(config, FlightConfig)
    return config


@dataclass(frozen=True)
class Settings:
    """Train and evaluate crazyflie-hover."""

    seeds: int = 10
    """Number of trainings, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training."""
    episodes: int = 1000
    """Held-out starts that every policy is evaluated from."""
    threads: int = 1
    """Threads that torch may use within one operation; one is fastest at the trainer's sizes."""
    algorithm: FlightConfig = field(default_factory=partial(recommended, TASK))
    """Settings of the flight trainer."""

    def __post_init__(self) -> None:
        for name in ("seeds", "episodes", "threads"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """Train, evaluate, and compare success with the share of starts that can be saved at all; one row for each seed."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        startup = keep("start-up", _startup_seconds)
        seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
        rows = [keep(f"seed {seed}", partial(train_and_evaluate, seed, settings)) for seed in seeds]
        lost = set.intersection(*(set(row["lost_starts"]) for row in rows))
        union = np.array([start not in lost for start in range(settings.episodes)])
        by_oracle = _oracle(union, settings.episodes)
    finally:
        torch.set_num_threads(before)
    share = float((union | by_oracle).mean())
    for row in rows:
        row["share_of_savable"] = row["success_at_0.1"] / max(share, 1e-9)
    return {
        "seeds": rows,
        "savable_share": share,
        "saved_by_some_policy": float(union.mean()),
        "saved_by_oracle_alone": float((by_oracle & ~union).mean()),
        "median_train_seconds": median(r["train_seconds"] for r in rows),
        "worst_train_seconds": max(r["train_seconds"] for r in rows),
        "evaluation_seed": BENCHMARK_SEED,
        "import_seconds": startup["import_seconds"],
        "kernel_compile_seconds": startup["kernel_compile_seconds"],
    }


def train_and_evaluate(seed: int, settings: Settings, device: str = "cpu") -> Row:
    """Train one policy on `device`, and let it fly on the CPU."""
    task = find_task(TASK)
    started = time.perf_counter()
    trainer = FlightTrainer(settings.algorithm, task, seed, device)
    while trainer.iteration < trainer.total_iterations:
        trainer.iterate()
    seconds = time.perf_counter() - started
    evaluation = evaluate(trainer.graph.to("cpu"), task, settings.episodes, BENCHMARK_SEED)
    summary = evaluation.summary()
    alive, near = summary["survival"]["value"], summary["success_at_0.1"]["value"]
    print(f"seed {seed}: {seconds:.1f} s, {alive:.3f} alive, {near:.3f} at 0.1 m", flush=True)
    return {
        "seed": seed,
        "train_seconds": seconds,
        "environment_steps": trainer.steps,
        "survival": alive,
        "success_at_0.1": near,
        "success_interval": [summary["success_at_0.1"]["low"], summary["success_at_0.1"]["high"]],
        "mean_distance_m": summary["distance_m"]["value"],
        "lost_starts": np.flatnonzero(~evaluation.survived).tolist(),
    }


def _oracle(union: np.ndarray[Any, Any], episodes: int) -> np.ndarray[Any, Any]:
    """Which starts [N] the oracle saves of those that no policy saved (False in `union` [N])."""
    task = find_task(TASK)
    _, truth = task.make_environment(episodes, BENCHMARK_SEED).reset()
    lost = torch.from_numpy(~union).nonzero()[:, 0]
    found = np.zeros(episodes, dtype=bool)
    if len(lost):
        rows = type(truth)({name: value[lost] for name, value in truth.items()})
        found[lost.numpy()] = savable(rows, task.period).numpy()
    return found


def _startup_seconds() -> dict[str, float]:
    """Seconds that a first run spends before training: imports, and compiling the kernels into an empty cache."""
    script = (
        "import time; a = time.perf_counter()\n"
        "from robo_rl.algorithms.flight import FlightTrainer\n"
        "from sim.tasks import find_task\n"
        "b = time.perf_counter()\n"
        "env = find_task('crazyflie-hover').make_environment(1, 0); env.reset()\n"
        "env.scenario.physics.advance(env.scenario.physics.state, env.scenario.physics.parameters[:, :4])\n"
        "print(b - a, time.perf_counter() - b)"
    )
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "WARP_CACHE_PATH": cache},
            capture_output=True,
            text=True,
            check=True,
        )
    imports, compiling = map(float, done.stdout.split()[-2:])
    return {"import_seconds": imports, "kernel_compile_seconds": compiling}
