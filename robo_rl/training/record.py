"""The record of a run, `record.json`: what was trained, where, for how long and with what result. Needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.errors import UserError
from robo_rl.output import results
from robo_rl.training import config
from robo_rl.training.config import TrainConfig

if TYPE_CHECKING:
    from sim.task import Task

FILE = "record.json"
VERSION = 1
POINTS = 200
"""Points of a curve at most."""
COUNTS = ("iteration", "steps", "seconds")
"""What a point of a curve holds beside metrics: their values at its end."""

Line = Mapping[str, float | None]


@dataclass(frozen=True)
class Record:
    """What comparing runs needs of a record."""

    run_dir: Path
    task: str
    task_digest: str
    algorithm: str
    label: str
    seed: int
    finished: bool
    iterations: int
    total_iterations: int
    steps: int
    curve: Sequence[Line]


def head(configuration: TrainConfig, task: Task, source: str) -> dict[str, Any]:
    """What stays the same while one process trains: settings, task, machine, versions and commit.

    `source` is the digest of the file that the task or its robot is from, empty without one.
    """
    document = config.to_document(configuration)
    return {
        "version": VERSION,
        "task": task.name,
        "task_digest": digest(task, source),
        "algorithm": document["algorithm"]["name"],
        "label": configuration.label,
        "seed": configuration.seed,
        "config": document,
        **results.provenance(),
    }


def digest(task: Task, source: str) -> str:
    """A digest of what a task measures and rewards: its signals, its rates and every setting of its terms."""
    content = {
        "name": task.name,
        "source": source,
        "sensors": [asdict(spec) for spec in task.sensors],
        "commands": [asdict(spec) for spec in task.commands],
        "period": task.period,
        "episode_steps": task.episode_steps,
        "terms": task.settings(),
    }
    return hashlib.sha256(json.dumps(results.plain(content), sort_keys=True).encode()).hexdigest()


def write(
    run_dir: Path,
    head: Mapping[str, Any],
    metrics: Sequence[Line],
    iterations: int,
    total_iterations: int,
    steps: int,
    wall_seconds: Mapping[str, float],
) -> None:
    """Write a run's record, atomically; `metrics` are all iterations so far."""
    content = {
        **head,
        "iterations": iterations,
        "total_iterations": total_iterations,
        "finished": iterations >= total_iterations,
        "steps": steps,
        "wall_seconds": dict(wall_seconds),
        "curve": curve(metrics),
    }
    results.write(run_dir / FILE, content, origin=head)


def curve(metrics: Sequence[Line], points: int = POINTS) -> list[dict[str, float | None]]:
    """At most `points` points of equally many iterations (the last may have fewer), each with the means over them."""
    width = max(1, -(-len(metrics) // points))
    return [_point(metrics[start : start + width]) for start in range(0, len(metrics), width)]


def read(run_dir: Path) -> Record:
    """Read a run's record. Raises UserError when there is none, or when it is damaged or of another version."""
    path = run_dir / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        wrong = "holds no record.json" if run_dir.is_dir() else "is no folder"
        raise UserError(f"{run_dir} {wrong}; name the folder of a run that `robo-rl train` wrote") from None
    except ValueError:
        raise UserError(f"{path} is damaged; continue the run with --resume, which writes it again") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        version = content.get("version") if isinstance(content, dict) else None
        raise UserError(f"{path} has version {version}, this robo-rl reads {VERSION}; train again")
    try:
        values: dict[str, Any] = {name: content[name] for name in Record.__dataclass_fields__ if name != "run_dir"}
        return Record(run_dir=run_dir, **values)
    except KeyError as error:
        raise UserError(f"{path} lacks {error.args[0]}; train again") from None


def is_finished(run_dir: Path) -> bool:
    """Whether a run has come to its end; False where there is no run."""
    return (run_dir / FILE).exists() and read(run_dir).finished


def _point(lines: Sequence[Line]) -> dict[str, float | None]:
    """The means of the metrics over some iterations, and the counts at their end."""
    point: dict[str, float | None] = {name: lines[-1][name] for name in COUNTS}
    for name in dict.fromkeys(name for line in lines for name in line if name not in COUNTS):
        values = [value for line in lines if (value := line.get(name)) is not None]
        point[name] = sum(values) / len(values) if values else None
    return point
