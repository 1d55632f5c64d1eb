"""`bench any`: one policy for any quadrotor, trained and flown.

A teacher that knows each vehicle is trained on all of them at once, and a small recurrent student imitates it without
knowing them. Both, and the controller that the teacher began with, fly vehicles that no training has seen: to a point
from the published starts, and along a figure. For some other unseen vehicles a teacher is trained for exactly that one,
and compared with the student. The student's step is then measured in C on an emulated Cortex-M4F.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch

from policies.errors import UserError
from policies.validation import require
from robo_rl.algorithms.registry import AlgorithmConfig, recommended_config
from robo_rl.bench import mcu
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.evaluation.flying import Evaluated, evaluate
from robo_rl.training import config, record, runner, tasks
from robo_rl.training.config import TrainConfig
from robo_rl.training.runner import Trained
from robo_rl.workflows.export import export_run
from sim.quadrotor.vehicles import PUBLISHED_VEHICLE
from sim.robots.rotors import GRAVITY
from sim.task import Task
from sim.tasks import find_task

TASK = "quadrotor-any"
FIGURE_STEPS = 1300
"""Control periods of a flight along a figure, of which the first 200 join it."""


def _recommended(algorithm: str, **changes: Any) -> Any:
    """The settings of an algorithm that the task recommends, with `changes`."""
    return replace(recommended_config(algorithm, find_task(TASK)), **changes)


@dataclass(frozen=True)
class Settings:
    """Train a teacher of all vehicles and a student, and fly unseen vehicles."""

    seed: int = 0
    """Seed of the trainings."""
    vehicles: int = 1000
    """Unseen vehicles, each flown once to a point and once along the figure."""
    compared: int = 20
    """Unseen vehicles for which a teacher of their own is trained."""
    flights: int = 200
    """Flights of each of these vehicles, by its own teacher and by the student."""
    figure_period: float = 5.5
    """Period of the figure, s; it is 2 m wide."""
    runs: Path | None = None
    """Folder that keeps the runs; a training that has ended there is not repeated."""
    threads: int = 1
    """Threads that torch may use within one operation."""
    teacher_iterations: int = _recommended("flight").iterations
    """Iterations of descent of the teacher of all vehicles; its other settings are those that the task recommends."""
    own_iterations: int = 140
    """Iterations of descent of a teacher of one vehicle."""
    student_iterations: int = _recommended("distill").iterations
    """Iterations of the student's training."""

    def __post_init__(self) -> None:
        iterations = ("teacher_iterations", "own_iterations", "student_iterations")
        for name in ("vehicles", "compared", "flights", "threads", *iterations):
            require(self, name, low=1)
        require(self, "seed", low=0, high=config.MAX_SEED)
        require(self, "figure_period", above=0.0)


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """Rows by pilot, by vehicle with a teacher of its own, and by kernel of the generated C."""
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with TemporaryDirectory() if settings.runs is None else nullcontext(settings.runs) as root:
            return _run(settings, keep, Path(root))
    finally:
        torch.set_num_threads(before)


def _run(settings: Settings, keep: Keep, root: Path) -> dict[str, Any]:
    task = find_task(TASK)

    def teacher() -> Trained:
        chosen = _recommended("flight", iterations=settings.teacher_iterations)
        return _trained(root / "teacher", task, chosen, settings)

    def student() -> Trained:
        teacher()
        taught = (str(root / "teacher"),)
        chosen = _recommended("distill", iterations=settings.student_iterations, teacher=taught)
        return _trained(root / "student", task, chosen, settings)

    def controller() -> Evaluated:
        assert task.teacher is not None
        return task.teacher("cpu")

    pilots: dict[str, Callable[[], Evaluated]] = {
        "student": lambda: student().policy,
        "teacher of all": lambda: teacher().policy,
        "controller that knows the vehicle": controller,
    }
    trained = keep("trainings", partial(_trainings, teacher, student))
    rows = [
        {"pilot": name, **keep(f"all vehicles, {name}", partial(_timed, partial(_fly_all, make, settings)))}
        for name, make in pilots.items()
    ]
    vehicles = []
    for number in range(BENCHMARK_SEED, BENCHMARK_SEED + settings.compared):
        measure = partial(_beside_its_own, number, student, teacher, root / f"own-{number}", settings)
        vehicles.append({"number": number, **keep(f"vehicle {number}", partial(_timed, measure))})
    instructions = [
        keep(f"step, {kernel}", partial(_timed, partial(_step, student, kernel))) for kernel in ("c", "asm")
    ]
    own = mean(row["own_teacher_survival"] for row in vehicles)
    return {
        "pilots": rows,
        "vehicles": vehicles,
        "mcu": instructions,
        "kept_share": mean(row["student_survival"] for row in vehicles) / max(own, 1e-9),
        **{name: trained[name] for name in ("parameters", "teacher_seconds", "student_seconds")},
        "seconds": trained["teacher_seconds"]
        + trained["student_seconds"]
        + sum(row["seconds"] for row in (*rows, *vehicles, *instructions)),
        "evaluation_seed": BENCHMARK_SEED,
    }


def _trained(folder: Path, task: Task, algorithm: AlgorithmConfig, settings: Settings) -> Trained:
    """The run in `folder`, trained now if it has not been; UserError for a run with other settings."""
    given = TrainConfig(TASK, algorithm, settings.seed, threads=settings.threads, terms=task.settings())
    if (folder / runner.CONFIG).exists():
        saved = config.load(folder / runner.CONFIG)
        # A run that an earlier version wrote lacks terms, which are the task's then.
        saved = replace(saved, terms=tasks.task_of_run(folder, saved).settings())
        if changed := config.differences(saved, given):
            raise UserError(f"{folder} was trained with other settings ({changed[0]}); name another folder with --runs")
    else:
        runner.create(folder, given)
    if not record.is_finished(folder) and runner.train(folder, lambda *_: None).stopped_by:
        raise KeyboardInterrupt
    return runner.load_trained(folder)


def _trainings(teacher: Callable[[], Trained], student: Callable[[], Trained]) -> Row:
    """How long the two trainings took, and how large the student is."""
    return {
        "teacher_seconds": _seconds(teacher()),
        "student_seconds": _seconds(student()),
        "parameters": sum(p.numel() for p in student().policy.parameters()),
    }


def _seconds(trained: Trained) -> float:
    return runner.read_metrics(trained.run_dir)[-1]["seconds"]


def _timed(measure: Callable[[], Row]) -> Row:
    started = time.perf_counter()
    return {**measure(), "seconds": time.perf_counter() - started}


def figure_task(task: Task, period: float) -> Task:
    """The task whose evaluation flies one figure of `period` s, from rest near its centre."""
    calm = {"arms": 1.0, "at_target": 0.0, "angle": 0.1, "linear_velocity": 0.1, "angular_velocity": 0.1}
    figure = {"interval": (period, period), "scale": (1.0, 1.0), "random_phase": False, "still": 0.0}
    return task.changed(
        evaluated={"events": {**PUBLISHED_VEHICLE, "start": calm}, "commands": {"figure": figure}},
        episode_steps=FIGURE_STEPS,
    )


def _fly_all(make: Callable[[], Evaluated], settings: Settings) -> Row:
    """Every unseen vehicle once to a point and once along the figure."""
    pilot, task = make(), find_task(TASK)
    hover = evaluate(pilot, task, settings.vehicles, BENCHMARK_SEED).summary()
    figure = evaluate(pilot, figure_task(task, settings.figure_period), settings.vehicles, BENCHMARK_SEED).summary()
    return {
        "survival": hover["survival"]["value"],
        "survival_interval": [hover["survival"]["low"], hover["survival"]["high"]],
        "success_at_0.1": hover["success_at_0.1"]["value"],
        "distance_p50_m": hover["distance_m"]["p50"],
        "figure_survival": figure["survival"]["value"],
        "figure_rmse_m": figure["rmse_m"]["value"],
    }


def _beside_its_own(
    number: int, student: Callable[[], Trained], teacher: Callable[[], Trained], folder: Path, settings: Settings
) -> Row:
    """The student, the teacher of all and one trained for this vehicle alone, from the same starts."""
    task = find_task(TASK).with_settings({"events": {"vehicle": {"only": number}}})
    _, truth = task.make_environment(1, BENCHMARK_SEED).reset()
    dynamics, full = truth["dynamics"][0], float(truth["dynamics"][0, 4:7].sum())
    own = _trained(folder, task, _recommended("flight", hidden=(64, 64), iterations=settings.own_iterations), settings)
    flown = {
        name: evaluate(trained.policy, task, settings.flights, BENCHMARK_SEED).survival.value
        for name, trained in (("student", student()), ("teacher", teacher()), ("own_teacher", own))
    }
    return {
        **{f"{name}_survival": value for name, value in flown.items()},
        "own_train_seconds": _seconds(own),
        "mass_kg": float(dynamics[0]),
        "thrust_to_weight": 4.0 * full / (GRAVITY * float(dynamics[0])),
        "torque_to_inertia": 2**0.5 * full * float(truth["rotor_distance"][0]) / float(dynamics[1]),
    }


def _step(student: Callable[[], Trained], kernel: str) -> Row:
    """What a step of the student costs in the C of a kernel, on the emulated chip."""
    with TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        export_run(student().run_dir, bundle, episodes=100)
        return mcu.measured_step("student", bundle, kernel, mcu.Settings())
