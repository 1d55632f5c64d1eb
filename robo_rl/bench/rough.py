"""`bench rough`: a teacher that reads the truth, then a blind student and one with a noisy scan; success on every kind
and level of terrain.

The teacher is PPO on the truth; both students imitate it by DAgger, the blind one with a memory. A world succeeds when
the robot has not fallen and has gone at least 70 % of the commanded way (robo_rl.evaluation.walking). Evaluations
spread their worlds evenly over all kinds and levels, also over those that the curriculum has not reached; noise,
randomization and pushes are on, and the scan has latency and missing points besides.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from policies.errors import UserError
from policies.validation import check, require, require_choice
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.timed_training import train_until
from robo_rl.evaluation.walking import WalkingEvaluation, evaluate_walking
from robo_rl.training import config, runner
from robo_rl.training.config import TrainConfig
from sim.tasks import find_task
from sim.terrain.kinds import size_at
from sim.terrain.terrain import TerrainSettings

BLIND, SCAN = "go1-velocity-rough-blind", "go1-velocity-rough"
SCAN_ERRORS = {"sensor_models": {"height_scan": {"delay": 1, "missing": 0.05}}}
"""What the scan of a robot's map has besides noise, drift and dropout."""
BARS: dict[str, tuple[tuple[str, float, float], ...]] = {
    student: (
        ("stairs_up", stairs, 0.8), ("stairs_down", stairs, 0.8), ("slope_up", 0.3, 0.8), ("slope_down", 0.3, 0.8),
        ("gaps", 0.1, 0.6),
    )
    for student, stairs in (("blind", 0.075), ("scan", 0.1))
}  # fmt: skip
"""For each student the kinds and sizes, in m or rad, with the success that it should reach there."""
ACTORS = ("mlp", "gru", "history")


@dataclass(frozen=True)
class Settings:
    """Train a teacher and two students within `minutes`, and evaluate them."""

    minutes: float = 90.0
    """Time for all three trainings and their evaluations."""
    teacher_share: float = 0.55
    """Share of that time for the teacher's training."""
    blind_share: float = 0.2
    """Share for the blind student's."""
    scan_share: float = 0.15
    """Share for the training of the student with a scan."""
    blind_actor: str = "gru"
    """Network of the blind student: gru, history or mlp."""
    scan_actor: str = "mlp"
    """Network of the student with a scan."""
    num_worlds: int = 1024
    """Worlds of each training."""
    teacher_iterations: int = 800
    """The teacher's iterations, if its time suffices."""
    student_iterations: int = 400
    """Each student's iterations, if its time suffices."""
    student_steps: int = 12
    """Steps of every world in a student's iteration."""
    teacher_spread: float = 0.2
    """Least standard deviation of the teacher's actions in training: stairs are climbed by one that explores."""
    runs: Path = Path("runs/bench-rough")
    """Folder for the three runs; --resume continues those that are in it."""
    seed: int = 0
    """Seed of the trainings."""
    worlds: int = 1280
    """Worlds of each evaluation, spread over kinds and levels."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics takes all cores."""

    def __post_init__(self) -> None:
        for name in ("minutes", "teacher_share", "blind_share", "scan_share", "teacher_spread"):
            require(self, name, above=0.0)
        shares = self.teacher_share + self.blind_share + self.scan_share
        check(shares <= 1.0, f"the shares of the trainings must add up to at most 1, got {shares:g}")
        for name in ("blind_actor", "scan_actor"):
            require_choice(self, name, ACTORS)
        for name in ("num_worlds", "teacher_iterations", "student_iterations", "student_steps", "worlds", "threads"):
            require(self, name, low=1)
        require(self, "seed", low=0, high=9_000_000)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for each training and its evaluation: the teacher's, then the students'."""
    folder = settings.runs
    teaching = partial(_stage, folder / "teacher", _teacher(settings), settings.teacher_share, settings)
    teacher = keep("teacher", teaching)
    students: dict[str, Row] = {}
    for name in BARS:
        configuration = _student(name, folder / "teacher", settings)
        share = {"blind": settings.blind_share, "scan": settings.scan_share}[name]
        row = keep(name, partial(_stage, folder / name, configuration, share, settings))
        students[name] = {**row, "bars": bars(name, row["terrain"])}
    minutes = _minutes(teacher, *students.values())
    return {"teacher": teacher, "students": students, "minutes": minutes, "evaluation_seed": BENCHMARK_SEED}


def _minutes(*rows: Row) -> float:
    return sum(float(row["train_seconds"] + row["evaluation_seconds"]) for row in rows) / 60.0


def _teacher(settings: Settings) -> TrainConfig:
    """PPO on sensors and truth, on the ground of both students."""
    recommended: Any = recommended_config("ppo", find_task(BLIND))
    spread = settings.teacher_spread
    changed = replace(
        recommended, reads="truth", num_worlds=settings.num_worlds, iterations=settings.teacher_iterations,
        initial_std=max(recommended.initial_std, spread), final_std=spread,
    )  # fmt: skip
    return TrainConfig(BLIND, changed, settings.seed, threads=settings.threads, terms=find_task(BLIND).settings())


def _student(name: str, teacher: Path, settings: Settings) -> TrainConfig:
    """DAgger from the teacher's run; the network as wide as PPO's recommended one."""
    task = {"blind": BLIND, "scan": SCAN}[name]
    recommended: Any = recommended_config("distill", find_task(task))
    wide: Any = recommended_config("ppo", find_task(task))
    changed = replace(
        recommended, arm="dagger", teacher=(str(teacher),), actor=getattr(settings, f"{name}_actor"),
        num_worlds=settings.num_worlds, iterations=settings.student_iterations, rollout_steps=settings.student_steps,
        actor_hidden=wide.actor_hidden, activation=wide.activation,
    )  # fmt: skip
    terms = SCAN_ERRORS if name == "scan" else {}
    return TrainConfig(task, changed, settings.seed, threads=settings.threads, terms=terms)


def _stage(folder: Path, configuration: TrainConfig, share: float, settings: Settings) -> Row:
    """The run in `folder`, trained until its iterations or its share of the time are over, and its evaluation."""
    if not (folder / runner.CONFIG).exists():
        runner.create(folder, configuration)
    elif not same(folder, configuration):
        raise UserError(f"{folder} holds a run with other settings; name another folder with --runs")
    train_until(folder, 60.0 * settings.minutes * share)
    began = time.perf_counter()
    trained = runner.load_trained(folder)
    evaluation = evaluate_walking(trained.policy, trained.task, settings.worlds, BENCHMARK_SEED)
    last = (runner.read_metrics(folder) or [{}])[-1]
    return {
        "task": trained.task.name,
        "terrain": terrain(evaluation),
        "train_seconds": last.get("seconds", 0.0),
        "evaluation_seconds": time.perf_counter() - began,
        "iterations": trained.iterations,
        "environment_steps": trained.steps,
        "mean_terrain_level": last.get("terrain_level"),
        "evaluation": {name: value for name, value in evaluation.summary().items() if name != "terrain"},
    }


def same(folder: Path, configuration: TrainConfig) -> bool:
    """Whether the run in `folder` has this configuration."""
    return config.to_document(config.load(folder / runner.CONFIG)) == config.to_document(configuration)


def terrain(evaluation: WalkingEvaluation) -> list[dict[str, Any]]:
    """A row for each kind and level: its size in m or rad, the worlds on it, and what they reached."""
    return [
        {
            "kind": score.kind,
            "level": score.level,
            "size": size_at(score.kind, score.level),
            "success": score.success.value,
            "fall_rate": score.fall_rate.value,
            "worlds": score.worlds,
        }
        for score in evaluation.terrain
    ]


def bars(student: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the student should reach on the easiest level of a kind that is not below a size, and what it reaches."""
    found = []
    for kind, size, least in BARS[student]:
        level = next(level for level in range(TerrainSettings().rows) if size_at(kind, level) >= size - 1e-6)
        success = next((row["success"] for row in rows if (row["kind"], row["level"]) == (kind, level)), None)
        holds = success is not None and success >= least
        bar = {"kind": kind, "level": level, "size": size, "at_least": least, "success": success, "holds": holds}
        found.append(bar)
    return found
