"""`bench curricula`: each curriculum on and off, at equal samples, on the task where it should matter.

Every training has the recommended settings of PPO but for the number of iterations, which is the same on a task, and
ends early when its time is up. Policies are evaluated as `eval` does: from normal starts, in the task's whole
difficulty. The teacher of `snapshots` is the run of the first seed with `terrain_level` alone: its samples are not
counted in those of the student.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from policies.errors import UserError
from policies.validation import require
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.walk_training import WalkTraining
from robo_rl.training import checkpoint, runner
from robo_rl.training.snapshots import take_snapshots
from sim.task import Task
from sim.tasks import find_task

FLAT, ROUGH = "go1-velocity-flat", "go1-velocity-rough"
ARMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "flat": (FLAT, ()),
    "command_range": (FLAT, ("command_range",)),
    "command_sampling": (FLAT, ("command_sampling",)),
    "penalties": (FLAT, ("penalties",)),
    "randomization_range": (FLAT, ("randomization_range",)),
    "rough": (ROUGH, ()),
    "terrain_level": (ROUGH, ("terrain_level",)),
    "terrain_sampling": (ROUGH, ("terrain_level", "terrain_sampling")),
    "snapshots": (ROUGH, ("terrain_level", "snapshots")),
}
"""The task and the curricula of each arm."""
EARLY = 0.25
"""Share of the training over which penalties grow, and in which episodes begin from snapshots."""


@dataclass(frozen=True)
class Settings:
    """Train with and without each curriculum."""

    arms: tuple[str, ...] = tuple(ARMS)
    """What to train with: flat and rough are those tasks without a curriculum."""
    seeds: int = 2
    """Number of trainings of each arm, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training."""
    minutes: float = 10.0
    """Most minutes of one training."""
    flat_iterations: int = 260
    """Iterations of PPO on flat ground."""
    rough_iterations: int = 120
    """Iterations of PPO on rough ground."""
    worlds: int = 640
    """Worlds of the evaluations."""
    train_worlds: int | None = None
    """Worlds of the trainings; None: as recommended."""
    episodes: int = 40
    """Episodes of the teacher that snapshots are taken of."""
    folder: Path = Path("runs/bench-curricula")
    """Folder of the teacher's run and its snapshots; a run that is there is taken again."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics takes all cores."""

    def __post_init__(self) -> None:
        for name in ("seeds", "flat_iterations", "rough_iterations", "worlds", "episodes", "threads"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)
        require(self, "minutes", above=0.0)
        unknown = [name for name in self.arms if name not in ARMS]
        if unknown:
            raise UserError(f"there is no arm {', '.join(unknown)}; arms: {', '.join(ARMS)}")


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for each arm and seed."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
        pairs = [(arm, seed) for arm in settings.arms for seed in seeds]
        rows = [keep(f"{arm} {seed}", partial(_measure, arm, seed, settings)) for arm, seed in pairs]
    finally:
        torch.set_num_threads(before)
    diverged = [f"{row['arm']}, seed {row['seed']}: {row['diverged']}" for row in rows if row["diverged"]]
    return {"rows": rows, "evaluation_seed": BENCHMARK_SEED, "failures": diverged}


def _measure(arm: str, seed: int, settings: Settings) -> Row:
    training = _train(arm, seed, settings)
    own = training.metrics
    evaluation = training.evaluate(settings.worlds)
    worlds = sum(score.worlds for score in evaluation.terrain)
    succeeded = sum(score.success.value * score.worlds for score in evaluation.terrain)
    row: Row = {
        "arm": arm,
        "task": ARMS[arm][0],
        "curricula": list(ARMS[arm][1]),
        "seed": seed,
        "return": evaluation.episode_return.value,
        "falls": evaluation.fall_rate.value,
        "velocity_error": evaluation.velocity_error.value,
        "success": succeeded / worlds if worlds else None,
        "level": own.get("terrain_level"),
        "reported": {name: own[name] for name in ARMS[arm][1] if name in own},
        "samples": training.trainer.steps,
        "train_seconds": training.clock.seconds,
        "diverged": training.diverged,
    }
    print(f"{arm}, seed {seed}: return {row['return']:.1f}, falls {100 * row['falls']:.1f} %", flush=True)
    return row


def _train(arm: str, seed: int, settings: Settings, folder: Path | None = None) -> WalkTraining:
    """A training that has ended; its run goes to `folder`, if one is given."""
    name, curricula = ARMS[arm]
    config = recommended_config("ppo", find_task(name))
    assert isinstance(config, PpoConfig)
    iterations = settings.flat_iterations if name == FLAT else settings.rough_iterations
    config = replace(config, iterations=iterations, num_worlds=settings.train_worlds or config.num_worlds)
    early = max(1, round(EARLY * iterations * config.rollout_steps))
    task = _with(find_task(name), curricula, early, settings)
    training = WalkTraining(name, task, config, seed, False, folder)
    most = 60.0 * settings.minutes
    for _ in training.until_evaluations(most, most):
        pass
    training.save(settings.threads)
    return training


def _with(task: Task, curricula: tuple[str, ...], early: int, settings: Settings) -> Task:
    """`task` with these curricula alone."""
    given: dict[str, dict[str, Any]] = {name: {} for name in curricula}
    for name in ("penalties", "snapshots"):
        if name in given:
            given[name] = {"steps": early}
    if "snapshots" in given:
        given["snapshots"]["file"] = str(_snapshots(task, settings))
    return task.changed(curriculum=dict.fromkeys(task.curriculum)).with_settings({"curriculum": given})


def _snapshots(task: Task, settings: Settings) -> Path:
    """The file of the teacher's snapshots; the teacher is trained where its run is not there."""
    run_dir, file = settings.folder / "teacher", settings.folder / "snapshots.pt"
    if not (run_dir / runner.CHECKPOINT).is_file():
        _train("terrain_level", settings.first_seed, settings, run_dir)
    if not file.is_file():
        wanted = task.with_settings({"curriculum": {"snapshots": {"episodes": settings.episodes}}})
        checkpoint.save(file, take_snapshots(run_dir, wanted, settings.first_seed))
    return file
