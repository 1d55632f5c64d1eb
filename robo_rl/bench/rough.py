"""`bench rough`: train go1-velocity-rough for at most an hour; success on every kind and level of terrain.

A world succeeds when the robot has not fallen and has gone at least 70 % of the commanded way
(robo_rl.evaluation.walking). The evaluation spreads its worlds evenly over all kinds and levels, also over those that
the curriculum has not reached; noise, randomization and pushes are on. The mean terrain level is that of the
curriculum at the end of training.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import UserError
from policies.validation import require
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.evaluation.flying import wilson
from robo_rl.evaluation.walking import WalkingEvaluation, evaluate_walking
from robo_rl.training import runner
from robo_rl.training.config import TrainConfig
from sim.tasks import find_task
from sim.terrain.kinds import slope_angle, stair_height

TASK = "go1-velocity-rough"
SUCCESS_BAR = 0.8
LEVELS = range(100)
STAIR_LEVEL = min(LEVELS, key=lambda level: abs(stair_height(level) - 0.10))
SLOPE_LEVEL = min(LEVELS, key=lambda level: abs(slope_angle(level) - 0.15))
"""The levels of stairs nearest to 0.10 m and of slopes nearest to 0.15 rad."""
BAR_LEVELS = {"stairs_up": STAIR_LEVEL, "stairs_down": STAIR_LEVEL, "slope_up": SLOPE_LEVEL, "slope_down": SLOPE_LEVEL}


@dataclass(frozen=True)
class Settings:
    """Train go1-velocity-rough, or take an existing run, and evaluate it."""

    run: Path | None = None
    """Folder of an existing run to evaluate instead of training one."""
    minutes: float = 60.0
    """Training ends after this time, if not before."""
    seed: int = 0
    """Seed of the training."""
    worlds: int = 1280
    """Worlds of the evaluation, spread over kinds and levels."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics takes all cores."""

    def __post_init__(self) -> None:
        require(self, "minutes", above=0.0)
        for name in ("worlds", "threads"):
            require(self, name, low=1)
        require(self, "seed", low=0, high=9_000_000)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One training and its evaluation, which are one row."""

    def measure() -> Row:
        if settings.run is not None:
            return _evaluate(settings.run, settings)
        with tempfile.TemporaryDirectory(prefix="robo-rl-rough-") as name:
            folder = Path(name) / "run"
            _train(folder, settings)
            return _evaluate(folder, settings)

    return keep("training", measure)


def _train(folder: Path, settings: Settings) -> None:
    """Train into `folder` until the recommended iterations are done or the time is up."""
    config = recommended_config("ppo", find_task(TASK))
    runner.create(folder, TrainConfig(TASK, config, settings.seed, threads=settings.threads))
    began = time.perf_counter()

    def watch(iteration: int, total: int, metrics: Mapping[str, float]) -> None:
        spent = time.perf_counter() - began
        if iteration % 50 == 0:
            print(f"{spent:.0f} s, iteration {iteration}: terrain level {metrics.get('terrain_level')}", flush=True)
        if spent >= 60.0 * settings.minutes:
            # The runner stops at this signal after the iteration, with a checkpoint.
            os.kill(os.getpid(), signal.SIGTERM)

    runner.train(folder, watch)


def _evaluate(folder: Path, settings: Settings) -> Row:
    trained = runner.load_trained(folder)
    task = trained.task
    evaluation = evaluate_walking(trained.graph, task, settings.worlds, BENCHMARK_SEED)
    if not evaluation.terrain:
        raise UserError(f"{folder} was trained on {task.name}, which has no terrain; name a run of {TASK}")
    last = (runner.read_metrics(folder) or [{}])[-1]
    return {
        "mean_terrain_level": last.get("terrain_level"),
        "train_seconds": last.get("seconds"),
        "iterations": trained.iterations,
        "environment_steps": trained.steps,
        "seed": trained.configuration.seed,
        "evaluation_seed": BENCHMARK_SEED,
        **figures(evaluation),
        "evaluation": evaluation.summary(),
    }


def figures(evaluation: WalkingEvaluation) -> dict[str, Any]:
    """Success over all levels of each kind, success at the bar's level, and the kinds that stay below the bar."""
    kinds: list[dict[str, Any]] = []
    for kind in dict.fromkeys(score.kind for score in evaluation.terrain):
        scores = [score for score in evaluation.terrain if score.kind == kind]
        worlds = sum(score.worlds for score in scores)
        succeeded = sum(round(score.success.value * score.worlds) for score in scores)
        fell = sum(round(score.fall_rate.value * score.worlds) for score in scores)
        by_level = {str(score.level): score.success.value for score in scores}
        kinds.append(
            {
                "kind": kind,
                "worlds": worlds,
                "success": succeeded / worlds,
                "success_interval": [wilson(succeeded, worlds).low, wilson(succeeded, worlds).high],
                "fall_rate": fell / worlds,
                "success_by_level": by_level,
                "hardest_level_at_bar": max((s.level for s in scores if s.success.value >= SUCCESS_BAR), default=None),
            }
        )
    by_kind = {row["kind"]: row["success_by_level"] for row in kinds}
    at_bar = {kind: by_kind.get(kind, {}).get(str(level)) for kind, level in BAR_LEVELS.items()}
    return {
        "kinds": kinds,
        "success_at_0.10_m_stairs": {kind: at_bar[kind] for kind in ("stairs_up", "stairs_down")},
        "success_at_0.15_rad_slopes": {kind: at_bar[kind] for kind in ("slope_up", "slope_down")},
        "stair_height_m": stair_height(STAIR_LEVEL),
        "slope_angle_rad": slope_angle(SLOPE_LEVEL),
        "hardest_level": max(score.level for score in evaluation.terrain),
        "missing": [kind for kind in BAR_LEVELS if (at_bar[kind] or 0.0) < SUCCESS_BAR],
    }
