"""`robo-rl train TASK`: train a policy in a run folder, or continue a run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, cast

import tyro

from policies.errors import UserError
from robo_rl.algorithms.registry import (
    ALGORITHMS,
    TrainingDiverged,
    algorithm_name,
    default_algorithm,
    find_algorithm,
    recommended_config,
)
from robo_rl.cli.common import OptionalFolder, os_error
from robo_rl.cli.parsing import parse
from robo_rl.cli.task_words import look_up, with_task
from robo_rl.cli.terms import flags_of, settings_from, with_curricula

if TYPE_CHECKING:
    from robo_rl.training.config import TrainConfig
    from sim.task import Task

C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True)
class _NoTerms:
    """In place of the terms' settings when no task is named."""


@dataclass(frozen=True)
class Arguments(Generic[C, T]):
    """Train a policy for a task. For the settings of another algorithm than the task's own: --algorithm NAME --help."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]
    """Name of the task (`robo-rl tasks` lists them), or FILE.py:NAME (docs/adding.md); with --resume the run's own."""
    settings: C
    """Settings of the algorithm."""
    terms: T
    """Settings of the task's terms."""
    robot_mjcf: Annotated[str, tyro.conf.arg(name="robot.mjcf", metavar="FILE")] = ""
    """MJCF of a robot of your own, or menagerie:NAME, for the tasks velocity-flat and velocity-rough."""
    robot_spec: Annotated[str, tyro.conf.arg(name="robot.spec", metavar="FILE")] = ""
    """YAML file with what the MJCF of your own robot does not hold: gains, stance, feet (docs/robots.md)."""
    algorithm: Annotated[str, tyro.conf.arg(metavar=f"{{{','.join(ALGORITHMS)}}}")] = "ppo"
    """Learning algorithm."""
    seed: int = 0
    """Seed of every random draw in training, below 10 000 000; larger ones are kept for evaluation."""
    run_dir: OptionalFolder = None
    """Folder of the run; None: runs/TASK-ALGORITHM-SEED. It must not hold a run, except with --resume."""
    resume: bool = False
    """Continue from the run's last checkpoint, with the run's own settings; only --device may differ."""
    device: str = "cpu"
    """Where networks and physics run: cpu, cuda or cuda:N."""
    threads: int = 1
    """Threads of torch; 1 is fastest for small networks. Results depend on it, so a resumed run keeps its own."""
    checkpoint_every: int = 50
    """Iterations between checkpoints; one more is written at the end and on SIGINT or SIGTERM."""
    label: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """Name of the run's group in `robo-rl compare --by label`; empty: the run's folder without its seed."""
    logger: Literal["tensorboard", "wandb"] = "tensorboard"
    """Where metrics go beside the run's own files: TensorBoard, or wandb too (offline with WANDB_MODE=offline)."""
    processes: int = 1
    """Processes that share the worlds, if the algorithm can; torchrun can start them, too (docs/learning.md)."""
    curriculum: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...")] = ()
    """Curricula to add to the task's own (docs/learning.md); a setting such as --curriculum.NAME.start adds its own."""


def run(argv: Sequence[str]) -> int:
    from robo_rl.training import config, parallel, runner
    from robo_rl.training.snapshots import keep_snapshots

    arguments, task, saved = _parse(argv)
    rank, size, starts = _group(arguments)
    settings = arguments.settings
    if size > 1 and saved is None and getattr(settings, "blocks", 0) == 1:
        settings = replace(settings, blocks=size)
    given = replace(_configuration(arguments, task, saved), algorithm=settings)
    run_dir = arguments.run_dir or _default_run_dir(task, arguments.algorithm, arguments.seed)
    if saved is not None and (changed := config.differences(replace(saved, device=given.device), given)):
        raise UserError(f"--resume continues with the run's own settings, but {'; '.join(changed)}")
    if starts:
        from robo_rl.training.launch import run_processes

        return run_processes(size, ["train", *argv])
    if saved is not None and rank == 0 and saved.device != given.device:
        runner.move(run_dir, given.device)
        print(
            f"continues from the last checkpoint on {given.device} instead of {saved.device}; random draws and "
            f"rounding differ there, so it no longer equals a run that stays on {saved.device}",
            file=sys.stderr,
        )
    fresh = saved is None and rank == 0
    if fresh:
        _say_how_the_robot_is_understood(arguments.task)
    with runner.started(run_dir, given) if fresh else nullcontext(), parallel.joined(arguments.device, size):
        if fresh and (taken := keep_snapshots(run_dir)):
            print(taken)
        return train(run_dir)


def prepare(argv: Sequence[str]) -> tuple[TrainConfig, Task]:
    """The configuration and the task of a new training with these arguments. Raises UserError for wrong ones."""
    arguments, task, _ = _parse(argv)
    return _configuration(arguments, task, None), task


def _configuration(arguments: Arguments[Any, Any], task: Task, saved: TrainConfig | None) -> TrainConfig:
    from robo_rl.training.config import TrainConfig

    return TrainConfig(
        task=arguments.task,
        algorithm=arguments.settings,
        seed=arguments.seed,
        device=arguments.device,
        threads=arguments.threads,
        checkpoint_every=arguments.checkpoint_every,
        task_digest=_task_digest(arguments.task, saved),
        terms=task.settings(),
        label=arguments.label,
        logger=arguments.logger,
    )


def _say_how_the_robot_is_understood(task: str) -> None:
    """What of a robot of the user's own is derived, changed or left out, line by line; the run keeps it, too."""
    from sim.tasks.files import is_file
    from sim.tasks.inspection import derived_stance_held
    from sim.tasks.own_robot import is_own, own_robot

    if is_own(task) and not is_file(task):
        own = own_robot(task)
        for line in (*own.warnings, *derived_stance_held(own)):
            print(f"robot {own.robot.name}: {line}")


def _group(arguments: Arguments[Any, Any]) -> tuple[int, int, bool]:
    """The rank of this process, the number of processes, and whether this one has to start them all."""
    from robo_rl.training import parallel

    rank, size = parallel.announced()
    starts = size == 1 and arguments.processes != 1
    if starts:
        size = arguments.processes
    if size != 1:
        if not ALGORITHMS[arguments.algorithm].shares_worlds:
            able = " or ".join(name for name, entry in ALGORITHMS.items() if entry.shares_worlds)
            raise UserError(
                f"{arguments.algorithm} learns in one process; leave --processes out or use --algorithm {able}"
            )
        parallel.check_cores(int(os.environ.get("LOCAL_WORLD_SIZE", size)), arguments.device)
    return rank, size, starts


def train(run_dir: Path) -> int:
    """Train the run in a folder to its end, with a progress bar; returns the exit code."""
    from robo_rl.cli.main import STARTED
    from robo_rl.training import parallel, runner
    from robo_rl.training.progress import training_progress

    parallel.current().wait()
    try:
        with training_progress() if parallel.current().rank == 0 else nullcontext(_say_nothing) as progress:
            outcome = runner.train(run_dir, progress, time.perf_counter() - STARTED)
    except TrainingDiverged as error:
        print(f"robo-rl: training diverged: {error}", file=sys.stderr)
        return 1 if parallel.current().rank == 0 else 0
    except OSError as error:
        raise UserError(
            f"can't write into {run_dir} ({os_error(error)}); make room there, then continue with --resume "
            f"--run-dir {run_dir}"
        ) from None
    if parallel.current().rank > 0:
        # Only the first process reports, in its exit code as well.
        return 0
    done = f"{outcome.iteration} of {outcome.total_iterations} iterations, {outcome.steps} steps"
    if outcome.iteration < outcome.total_iterations:
        print(f"stopped after {done}; checkpoint saved, continue with --resume --run-dir {run_dir}", file=sys.stderr)
        return 128 + outcome.stopped_by
    print(f"trained {done} in {outcome.train_seconds:.1f} s: {run_dir}")
    return 0


def _say_nothing(iteration: int, total: int, metrics: Mapping[str, float]) -> None:
    """No progress, for every process but the first."""


def _parse(argv: Sequence[str]) -> tuple[Arguments[Any, Any], Task, TrainConfig | None]:
    """The arguments, the task with its terms set as they say and, to resume, the run's own configuration, which then
    gives the defaults.

    The flags depend on task and algorithm, so these are looked up first.
    """
    from robo_rl.training import tasks
    from sim.tasks import find_task

    named, chosen = look_up(argv, "run-dir"), look_up(argv, "algorithm")
    run_dir, resumes = Path(named or ""), "--resume" in argv
    saved = _saved(run_dir) if resumes and named else None
    argv, name = with_task(argv, "" if saved is None else saved.task)
    if not name:
        if argv and not argv[0].startswith("-"):
            # An unknown task is reported before unknown flags.
            find_task(argv[0])
        # Without a task, parsing shows the help or reports that the task is missing.
        algorithm = chosen or default_algorithm(None)
        find_task(parse(_arguments(find_algorithm(algorithm).config_class(), _NoTerms), "train", argv).task)
        raise AssertionError("parsing without a task ends in an error or in the help")
    if resumes and saved is None:
        run_dir = _default_run_dir(find_task(name), chosen, look_up(argv, "seed"))
        saved = _saved(run_dir)
    if saved is None:
        task = find_task(name)
    else:
        task = tasks.task_of_run(run_dir, saved)
        # A run that an earlier version wrote lacks terms, which are the task's then.
        saved = replace(saved, terms=task.settings())
    argv, added, task = with_curricula(argv, task)
    algorithm = chosen or (default_algorithm(task) if saved is None else algorithm_name(saved.algorithm))
    settings = find_algorithm(algorithm).config_class()
    defaults: dict[str, Any] = {"settings": recommended_config(algorithm, task), "algorithm": algorithm}
    terms, defaults["terms"] = flags_of(task)
    if saved is not None:
        shared = ("seed", "device", "threads", "checkpoint_every", "label", "logger")
        defaults |= {name: getattr(saved, name) for name in shared}
        if type(saved.algorithm) is settings:
            defaults["settings"] = saved.algorithm
    kind = _arguments(settings, terms)
    if added:
        argv = [*argv, "--curriculum", *added]
    arguments = parse(kind, "train", argv, kind(task=tyro.MISSING, **defaults))
    return arguments, task.with_settings(settings_from(arguments.terms)), saved


def _saved(run_dir: Path) -> TrainConfig:
    """The configuration of the run to resume."""
    from robo_rl.training import config, runner

    if not (run_dir / runner.CONFIG).is_file():
        raise UserError(f"{run_dir} holds no run to resume; leave --resume out to start one there")
    return config.load(run_dir / runner.CONFIG)


def _arguments(settings: type[Any], terms: type[Any]) -> type[Arguments[Any, Any]]:
    """The arguments with flags for these settings of an algorithm and of terms."""
    kind: type[Arguments[Any, Any]] = cast(Any, Arguments)[settings, terms]
    return kind


def _task_digest(name: str, saved: TrainConfig | None) -> str:
    """Digest of the task's file; a run can be resumed without the file. UserError when the file has changed since the
    run was started."""
    from sim.tasks.files import is_file, read_task_file

    path = Path(name.rpartition(":")[0])
    if not is_file(name):
        return ""
    if saved is not None and not path.is_file():
        return saved.task_digest
    digest = read_task_file(name).digest
    if saved is not None and digest != saved.task_digest:
        raise UserError(f"{path} was changed since the run was started; put it back to resume, or start another run")
    return digest


def _default_run_dir(task: Task, algorithm: str | None, seed: int | str | None) -> Path:
    return Path("runs") / f"{task.name}-{algorithm or default_algorithm(task)}-{seed or 0}"
