"""`bench own`: train robots from files alone, with every default, as `train velocity-flat --robot.mjcf FILE` does.

The robots (docs/examples/robots) are of the make of public ones and lack what their files lack, such as gains or a
keyframe; those of MuJoCo Menagerie are trained, too, where they load, and a row says why where they don't. The clock
runs as that of `walk` does. Training ends with the recommended number of iterations, or with the time limit.
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
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.walk_training import Bar, WalkTraining, evaluation_seed
from robo_rl.evaluation.walking import WalkingEvaluation
from sim.robots.loading import MENAGERIE, load_robot
from sim.tasks import find_task
from sim.tasks.own_robot import own_name

KIND = "velocity-flat"
BAR = Bar(0.25, 0.05)
FOLDER = Path(__file__).parents[2] / "docs/examples/robots"
ROBOTS = {
    "go2": ("go2/go2.xml", "gains; its keyframe is in the scene beside it"),
    "spot": ("spot/spot.xml", "armature and friction of its joints"),
    "anymal_c": ("anymal_c/anymal_c.xml", "gains and a keyframe"),
}
"""File and what it lacks."""


@dataclass(frozen=True)
class Settings:
    """Train robots from their files alone and evaluate how they walk."""

    robots: tuple[str, ...] = tuple(ROBOTS)
    """Robots of docs/examples/robots."""
    menagerie: tuple[str, ...] = ("unitree_go2",)
    """Robots of MuJoCo Menagerie."""
    seed: int = 0
    """Seed of the trainings."""
    minutes: float = 15.0
    """Most minutes of training of one robot."""
    every_seconds: float = 60.0
    """Training time in s between evaluations."""
    quick_worlds: int = 256
    """Worlds of the evaluations during training."""
    worlds: int = 1000
    """Worlds of the evaluation at the end."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics takes all cores."""
    development: bool = False
    """Evaluate on the development seed instead of the benchmarks' own: for choosing settings."""
    keep: Path | None = None
    """Folder for the runs, one for each robot, to export or to play afterwards."""
    iterations: int | None = None
    """Iterations of PPO; None: as recommended."""

    def __post_init__(self) -> None:
        for name in ("quick_worlds", "worlds", "threads"):
            require(self, name, low=1)
        require(self, "seed", low=0, high=9_000_000)
        for name in ("minutes", "every_seconds"):
            require(self, name, above=0.0)
        unknown = [name for name in self.robots if name not in ROBOTS]
        if unknown:
            raise UserError(f"there is no robot {', '.join(unknown)}; robots: {', '.join(ROBOTS)}")


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """One row for each robot."""
    files = [FOLDER / ROBOTS[name][0] for name in settings.robots]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UserError(f"`bench own` needs a checkout of robo-rl, whose robots it trains; there is no {missing[0]}")
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        rows = [
            keep(name, partial(_train, name, str(file), ROBOTS[name][1], settings))
            for name, file in zip(settings.robots, files, strict=True)
        ]
        rows += [keep(MENAGERIE + name, partial(_of_menagerie, name, settings)) for name in settings.menagerie]
    finally:
        torch.set_num_threads(before)
    return {
        "rows": rows,
        "bar": {"velocity_error": BAR.velocity_error, "fall_rate": BAR.fall_rate},
        "evaluation_seed": evaluation_seed(settings.development),
        "failures": [f"{row['robot']}: {row['diverged']}" for row in rows if row.get("diverged")],
    }


def _of_menagerie(name: str, settings: Settings) -> Row:
    try:
        load_robot(MENAGERIE + name)
    except UserError as error:
        return {"robot": MENAGERIE + name, "not_run": str(error)}
    return _train(MENAGERIE + name, MENAGERIE + name, "as downloaded", settings)


def _train(robot: str, file: str, lacks: str, settings: Settings) -> Row:
    name = own_name(KIND, file, "")
    task = find_task(name)
    config = recommended_config("ppo", task)
    assert isinstance(config, PpoConfig)
    if settings.iterations is not None:
        config = replace(config, iterations=settings.iterations)
    folder = None if settings.keep is None else settings.keep / robot.replace(":", "-")
    training = WalkTraining(name, task, config, settings.seed, settings.development, folder)

    def evaluate(worlds: int) -> WalkingEvaluation:
        evaluation = training.evaluate(worlds)
        at = training.note(evaluation)
        print(
            f"{robot}, {at['seconds']:.0f} s, iteration {at['iteration']}: error {at['velocity_error']:.3f} m/s, yaw "
            f"{at['yaw_rate_error']:.3f} rad/s, falls {100 * at['fall_rate']:.1f} %",
            flush=True,
        )
        return evaluation

    reached = None
    for _ in training.until_evaluations(settings.every_seconds, 60.0 * settings.minutes):
        if BAR.holds(evaluate(settings.quick_worlds)) and reached is None:
            reached = training.clock.seconds
    training.save(settings.threads)
    final = evaluate(settings.worlds)
    return {
        "robot": robot,
        "lacks": lacks,
        "seconds_to_bar": reached,
        "reaches_bar": BAR.holds(final),
        "yaw_rate_error": final.yaw.instant.value,
        **training.results(final),
    }
