"""Groups of trained runs compared by their records: one score a seed, AdaStop's verdicts, intervals of the means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from policies.errors import UserError
from robo_rl.evaluation import statistics
from robo_rl.evaluation.flying import Interval, bootstrap_mean
from robo_rl.training import record
from robo_rl.training.record import Record

METRIC = "episode_return"
TAIL = 0.1
"""The last part of a training whose mean is its score."""
GROUPINGS = ("algorithm", "task", "label")


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds only, in the order of the seeds."""

    name: str
    runs: tuple[Record, ...]
    scores: tuple[float, ...]
    """The score of each run."""

    @property
    def mean(self) -> Interval:
        """The mean of the scores, with its bootstrap interval."""
        return bootstrap_mean(np.array(self.scores), 0)


@dataclass(frozen=True)
class Compared:
    """Groups of runs, the best mean first, and what AdaStop finds about them."""

    metric: str
    groups: tuple[Group, ...]
    test: statistics.Comparison
    notes: tuple[str, ...]
    """What makes the groups differ in more than what they are compared by."""

    def document(self) -> dict[str, Any]:
        """As plain data for a result file."""
        return {
            "metric": self.metric,
            "groups": {
                group.name: {
                    "mean": asdict(group.mean),
                    "seeds": {str(run.seed): score for run, score in zip(group.runs, group.scores, strict=True)},
                    "runs": [str(run.run_dir) for run in group.runs],
                    "steps": [run.steps for run in group.runs],
                }
                for group in self.groups
            },
            "adastop": self.test.document(),
            "notes": list(self.notes),
        }


def compare_runs(
    folders: Sequence[Path], metric: str, by: str, design: statistics.Design, tail: float = TAIL
) -> Compared:
    """Compare the runs in `folders`, grouped by their algorithm, task or label.

    A run's score is the mean of `metric` over the last `tail` of its iterations. Raises UserError for a run without a
    record or without an end, for a metric that a run does not have, for a seed that a group has twice, for runs of
    different tasks (unless they are grouped by task), and for what AdaStop refuses.
    """
    runs = [record.read(folder) for folder in folders]
    _check_alike(runs, by)
    grouped: dict[str, list[Record]] = {}
    for run in runs:
        grouped.setdefault(group_of(run, by), []).append(run)
    if len(grouped) == 1:
        other = "label" if by != "label" else "algorithm"
        raise UserError(
            f"all runs have the {by} {next(iter(grouped))!r}; name runs of another one, or use --by {other}"
        )
    groups = [_group(name, own, metric, tail) for name, own in grouped.items()]
    groups.sort(key=lambda group: group.mean.value, reverse=True)
    test = statistics.compare({group.name: group.scores for group in groups}, design)
    return Compared(metric, tuple(groups), test, tuple(_notes(groups)))


def group_of(run: Record, by: str) -> str:
    """The name of a run's group. A run without a label has its folder's name, without the seed at the end."""
    if by == "label":
        return run.label or re.sub(rf"[-_.]?(seed)?[-_]?{run.seed}$", "", run.run_dir.resolve().name)
    name: str = getattr(run, by)
    return name


def score(run: Record, metric: str, tail: float = TAIL) -> float:
    """The mean of `metric` over the last `tail` of a run's iterations. Raises UserError when it has none there."""
    known = dict.fromkeys(name for line in run.curve for name in line)
    if metric not in known:
        near = get_close_matches(metric, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"metrics: {', '.join(known)}"
        raise UserError(f"{run.run_dir} has no metric {metric!r}; {hint}")
    after = (1.0 - tail) * run.iterations
    late = [line for line in run.curve if (line["iteration"] or 0) > after]
    values = [value for line in late if (value := line.get(metric)) is not None]
    if not values:
        raise UserError(f"{run.run_dir} has no {metric} in the last {100 * tail:g} % of its training; use another one")
    return sum(values) / len(values)


def _check_alike(runs: Sequence[Record], by: str) -> None:
    for run in runs:
        if not run.finished:
            done = f"{run.iterations} of {run.total_iterations} iterations"
            raise UserError(f"{run.run_dir} has done {done}; continue it with --resume, or leave it out")
        if by != "task" and run.task != runs[0].task:
            raise UserError(
                f"{run.run_dir} trained {run.task}, {runs[0].run_dir} {runs[0].task}: runs of different tasks have no "
                "common score; compare runs of one task"
            )


def _group(name: str, runs: Sequence[Record], metric: str, tail: float) -> Group:
    own = sorted(runs, key=lambda run: run.seed)
    for one, other in zip(own, own[1:], strict=False):
        if one.seed == other.seed:
            raise UserError(f"{one.run_dir} and {other.run_dir} of the group {name} have the same seed; leave one out")
    return Group(name, tuple(own), tuple(score(run, metric, tail) for run in own))


def _notes(groups: Sequence[Group]) -> list[str]:
    found = []
    if len({run.task_digest for group in groups for run in group.runs}) > 1:
        found.append("the runs' tasks differ in settings of their terms: returns may not be on one scale")
    steps = {group.name: sorted({run.steps for run in group.runs}) for group in groups}
    if len({tuple(own) for own in steps.values()}) > 1:
        shown = ", ".join(f"{name} {own[0]:,}" for name, own in steps.items())
        found.append(f"the groups trained for different numbers of steps: {shown}")
    return found


def curves(groups: Sequence[Group], metric: str) -> dict[str, list[list[tuple[float, float]]]]:
    """Group -> for each of its runs the points (steps, value) of the metric's curve."""
    return {group.name: [_points(run, metric) for run in group.runs] for group in groups}


def _points(run: Record, metric: str) -> list[tuple[float, float]]:
    return [(line["steps"] or 0.0, value) for line in run.curve if (value := line.get(metric)) is not None]
