"""Runs a training: metrics, checkpoints, resume and the run's record.

A run is a folder: `config.yaml`, `checkpoint.pt`, `metrics.jsonl`, `record.json`, a folder for each logger, `task.py`
or `robot/` where the task is from a file or for a robot of the user's own, and `sources/` where it learns from other
runs; `failed/` holds worlds whose physics failed, if any did. Algorithms keep there what is too large for a checkpoint,
such as a replay memory.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from policies.errors import UserError, one_line
from policies.graph.policy_graph import PolicyGraph
from robo_rl.algorithms.registry import Algorithm, algorithm_name, find_algorithm
from robo_rl.output import files
from robo_rl.training import checkpoint, config, loggers, parallel, record, robot_copy, sources, tasks
from robo_rl.training.config import TrainConfig
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task

if TYPE_CHECKING:
    from deploy.bundle.reader import Bundle

CONFIG, CHECKPOINT, METRICS = sources.CONFIG, sources.CHECKPOINT, "metrics.jsonl"

P = TypeVar("P", bound="PolicyGraph | Bundle")
Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called after every iteration with its number, the number of all iterations, and its metrics."""


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `stopped_by` is the signal's number, 0 when it came to its end; seconds of this process."""

    run_dir: Path
    iteration: int
    total_iterations: int
    steps: int
    train_seconds: float
    stopped_by: int


def create(run_dir: Path, configuration: TrainConfig) -> None:
    """Start a run's folder. Raises UserError when it already holds a run, or the run can't start on this machine."""
    _check_device(configuration)
    loggers.check(configuration.logger)
    held = [name for name in (CONFIG, CHECKPOINT, METRICS, record.FILE, robot_copy.FOLDER) if (run_dir / name).exists()]
    if held:
        raise UserError(
            f"{run_dir} already holds a run ({held[0]}); continue it with --resume or name another --run-dir"
        )
    if run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"{run_dir} is a file; --run-dir must name a folder")
    copies = sources.read(configuration.algorithm)
    try:
        tasks.keep_sources(run_dir, configuration)
        sources.write(run_dir, copies)
        config.save(configuration, run_dir / CONFIG)
    except OSError as error:
        raise UserError(f"can't write into {run_dir} ({error.strerror}); name another --run-dir") from None


@contextmanager
def started(run_dir: Path, configuration: TrainConfig) -> Iterator[None]:
    """Create a run's folder for the block that trains in it, and remove it if the run can't be started: a UserError
    before the first iteration leaves nothing behind."""
    new = not run_dir.exists()
    create(run_dir, configuration)
    try:
        yield
    except UserError:
        if not any((run_dir / name).exists() for name in (CHECKPOINT, METRICS)):
            for name in (CONFIG, tasks.COPY, tasks.SNAPSHOTS):
                (run_dir / name).unlink(missing_ok=True)
            for folder in (robot_copy.FOLDER, sources.FOLDER):
                shutil.rmtree(run_dir / folder, ignore_errors=True)
            if new:
                shutil.rmtree(run_dir)
        raise


def move(run_dir: Path, device: str) -> None:
    """Let a run go on, on another device. UserError when this machine does not have it; the run is then as it was."""
    moved = replace(config.load(run_dir / CONFIG), device=device)
    _check_device(moved)
    config.save(moved, run_dir / CONFIG)


def build(run_dir: Path, configuration: TrainConfig) -> Algorithm:
    """The algorithm of a configuration, before its first iteration. Sets torch's threads and every global random
    generator."""
    _check_device(configuration)
    torch.set_num_threads(configuration.threads)
    torch.manual_seed(configuration.seed)
    task = tasks.task_to_train(run_dir, configuration)
    entry = find_algorithm(algorithm_name(configuration.algorithm))
    settings = sources.kept(run_dir, configuration.algorithm)
    try:
        return entry.build(settings, task, configuration.seed, parallel.own_device(configuration.device))
    except UserError as error:
        raise UserError(sources.as_given(str(error), run_dir, configuration.algorithm)) from None


@dataclass(frozen=True)
class Trained:
    """The result of a run so far, from its last checkpoint."""

    run_dir: Path
    configuration: TrainConfig
    task: Task
    policy: PolicyGraph | LearnedTeacher
    iterations: int
    steps: int

    @property
    def graph(self) -> PolicyGraph:
        """The policy to deploy. Raises UserError for a teacher."""
        return deployable(self.policy, self.run_dir)


def deployable(policy: P | LearnedTeacher, folder: Path) -> P:
    """The policy that was read from `folder`. Raises UserError for a teacher, which only a simulation can run."""
    if isinstance(policy, LearnedTeacher):
        raise UserError(
            f"{folder} holds a teacher, which reads what only a simulator knows: it can be evaluated and imitated, not "
            "exported or deployed; name the run of a policy that imitates it"
        )
    return policy


def load_trained(run_dir: Path) -> Trained:
    """The policy of a run, on the CPU, on whichever device it was trained. Only the checkpoint's weights are read: no
    world is built, so that a world that has changed since then does not matter.
    """
    configuration = config.load(run_dir / CONFIG)
    saved = checkpoint.load(run_dir / CHECKPOINT)
    torch.set_num_threads(configuration.threads)
    task = tasks.task_of_run(run_dir, configuration)
    policy = find_algorithm(algorithm_name(configuration.algorithm)).make_policy(configuration.algorithm, task)
    with _fitting(run_dir):
        learned = saved["algorithm"]
        policy.load_state_dict(learned["graph"])
        return Trained(run_dir, configuration, task, policy.cpu(), learned["iteration"], learned["steps"])


def train(run_dir: Path, progress: Progress, import_seconds: float = 0.0) -> Outcome:
    """Train the run in `run_dir` from its last checkpoint, or from the start, to its end or to a signal.

    SIGINT and SIGTERM end it after the iteration under way, with a checkpoint; a second SIGINT ends it at once.
    `import_seconds` is the time the process took until here, for the record. In a group of processes all of them
    call this, and only the first one writes.
    """
    began = time.perf_counter()
    group = parallel.current()
    configuration = config.load(run_dir / CONFIG)
    algorithm = build(run_dir, configuration)
    algorithm.enter(run_dir)
    seconds, kept = _resume(run_dir, algorithm)
    writes = group.rank == 0
    task = tasks.task_of_run(run_dir, configuration)
    head = record.head(configuration, task, tasks.source_of(configuration)) if writes else {}
    wall = {"imports": import_seconds, "compile": time.perf_counter() - began}

    def keep() -> None:
        save(run_dir, algorithm, seconds, writes)
        if writes:
            record.write(
                run_dir, head, read_metrics(run_dir), algorithm.iteration, algorithm.total_iterations, algorithm.steps,
                {**wall, "train": seconds},
            )  # fmt: skip

    with _stop_on_signals() as stop, _metrics(run_dir, configuration, algorithm, kept, writes) as note:
        saved, stopped = -1, group.largest(stop.signal)
        while algorithm.iteration < algorithm.total_iterations and not stopped:
            began = time.perf_counter()
            metrics = algorithm.iterate()
            elapsed = time.perf_counter() - began
            seconds += elapsed
            note(metrics, seconds)
            progress(algorithm.iteration, algorithm.total_iterations, metrics)
            if algorithm.iteration % configuration.checkpoint_every == 0:
                saved = algorithm.iteration
                keep()
            # A signal may reach one process in this iteration and another in the next: all end together.
            stopped = group.largest(stop.signal)
        if saved != algorithm.iteration:
            keep()
    return Outcome(run_dir, algorithm.iteration, algorithm.total_iterations, algorithm.steps, seconds, stopped)


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """Every complete line of a run's metrics."""
    path = run_dir / METRICS
    if not path.is_file():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            # A kill in the middle of a write leaves half a line; nothing can follow it.
            break
    return lines


def _check_device(configuration: TrainConfig) -> None:
    if configuration.device == "cpu":
        return
    found = torch.cuda.device_count()
    if int(configuration.device.partition(":")[2] or 0) >= found:
        has = f"torch finds {found} GPU{'s' if found > 1 else ''}" if found else "torch finds no GPU"
        raise UserError(f"device is {configuration.device}, but {has} here; use --device cpu")


# ---- the pieces ------------------------------------------------------------------------------------------------


def save(run_dir: Path, algorithm: Algorithm, seconds: float, writes: bool = True) -> None:
    """Write a checkpoint; a process that does not write it gives its part of the state to the one that does."""
    state = algorithm.state_dict()
    if writes:
        checkpoint.save(
            run_dir / CHECKPOINT,
            {
                "iteration": algorithm.iteration,
                "train_seconds": seconds,
                "algorithm": state,
                "random": checkpoint.random_state(),
            },
        )
    algorithm.saved()


@contextmanager
def _fitting(run_dir: Path) -> Iterator[None]:
    """Raise UserError when a checkpoint belongs to another policy or world."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = one_line(error)[:160]
        raise UserError(
            f"{run_dir / CHECKPOINT} does not fit {run_dir / CONFIG} and the task as they are now ({reason}); "
            "train again, or go back to the robo-rl that wrote it"
        ) from None


def _resume(run_dir: Path, algorithm: Algorithm) -> tuple[float, list[dict[str, float]]]:
    """Load the checkpoint if there is one; returns the training seconds so far and the metrics up to it."""
    if not (run_dir / CHECKPOINT).exists():
        return 0.0, []
    saved = checkpoint.load(run_dir / CHECKPOINT)
    with _fitting(run_dir):
        algorithm.load_state_dict(saved["algorithm"])
        checkpoint.restore_random_state(saved["random"])
        return saved["train_seconds"], [x for x in read_metrics(run_dir) if x["iteration"] <= saved["iteration"]]


@contextmanager
def _metrics(
    run_dir: Path, configuration: TrainConfig, algorithm: Algorithm, kept: list[dict[str, float]], writes: bool
) -> Iterator[Callable[[Mapping[str, float], float], None]]:
    """Cut the metrics back to those `kept` and give the function that notes an iteration's metrics and the seconds so
    far; it does nothing in a process that does not write."""
    if not writes:
        yield lambda metrics, seconds: None
        return
    with loggers.opened(run_dir, configuration, algorithm.iteration) as log:
        files.write_text(run_dir / METRICS, "".join(json.dumps(line) + "\n" for line in kept))
        with (run_dir / METRICS).open("a", encoding="utf-8") as file:

            def note(metrics: Mapping[str, float], seconds: float) -> None:
                counts = {"iteration": algorithm.iteration, "steps": algorithm.steps, "seconds": round(seconds, 4)}
                file.write(json.dumps({**counts, **metrics}) + "\n")
                # Flushed line by line: a checkpoint must never be ahead of the metrics that led to it.
                file.flush()
                log(metrics, algorithm.iteration)

            yield note


class _Stop:
    signal = 0


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """Note SIGINT and SIGTERM instead of dying from them; a second SIGINT raises KeyboardInterrupt."""
    stop = _Stop()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = number

    before: dict[int, Any] = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
