"""`bench hover`: train crazyflie-hover from several seeds; time to train and success from 1000 held-out starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch

from policies.validation import require
from robo_rl.algorithms.flight import FlightConfig, FlightTrainer
from robo_rl.bench.oracle import savable
from robo_rl.evaluation.flying import HELD_OUT_SEED, Evaluation, evaluate
from sim.tasks import find_task


@dataclass(frozen=True)
class Settings:
    """Train and judge crazyflie-hover."""

    seeds: int = 10
    """Number of trainings, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training."""
    episodes: int = 1000
    """Held-out starts that every policy is judged on."""
    threads: int = 1
    """Threads that torch may use within one operation; one is fastest at the trainer's sizes."""
    algorithm: FlightConfig = field(default_factory=FlightConfig)
    """Settings of the flight trainer."""

    def __post_init__(self) -> None:
        for name in ("seeds", "episodes", "threads"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)


def run(settings: Settings) -> dict[str, Any]:
    """Train, judge, and set success against what can be saved at all."""
    task = find_task("crazyflie-hover")
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        startup = _startup_seconds()
        rows, judged = [], []
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
            started = time.perf_counter()
            trainer = FlightTrainer(settings.algorithm, task, seed)
            while trainer.iteration < trainer.total_iterations:
                trainer.iterate()
            seconds = time.perf_counter() - started
            evaluation = evaluate(trainer.graph, task, settings.episodes)
            judged.append(evaluation)
            rows.append(_row(seed, seconds, trainer.steps, evaluation))
            done = rows[-1]
            print(
                f"seed {seed}: {seconds:.1f} s, {done['survival']:.3f} alive, {done['success_at_0.1']:.3f} at 0.1 m",
                flush=True,
            )
        union = np.any([e.survived for e in judged], axis=0)
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
        "held_out_seed": HELD_OUT_SEED,
        "threads": settings.threads,
        **startup,
    }


def _row(seed: int, seconds: float, steps: int, evaluation: Evaluation) -> dict[str, Any]:
    summary = evaluation.summary()
    return {
        "seed": seed,
        "train_seconds": seconds,
        "environment_steps": steps,
        "survival": summary["survival"]["value"],
        "success_at_0.1": summary["success_at_0.1"]["value"],
        "success_interval": [summary["success_at_0.1"]["low"], summary["success_at_0.1"]["high"]],
        "mean_distance_m": summary["distance_m"]["value"],
    }


def _oracle(union: np.ndarray[Any, Any], episodes: int) -> np.ndarray[Any, Any]:
    """What the oracle saves of the starts that no policy saved."""
    task = find_task("crazyflie-hover")
    _, truth = task.make_environment(episodes, HELD_OUT_SEED).reset()
    lost = torch.from_numpy(~union).nonzero()[:, 0]
    found = np.zeros(episodes, dtype=bool)
    if len(lost):
        rows = type(truth)({name: value[lost] for name, value in truth.items()})
        found[lost.numpy()] = savable(rows, task.period).numpy()
    return found


def _startup_seconds() -> dict[str, float]:
    """What a first run pays before training: imports, and compiling the kernels into an empty cache."""
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
