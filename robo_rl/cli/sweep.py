"""`robo-rl sweep SWEEP.yaml`: train over a range of settings, several seeds of each, and say which is best."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from policies.errors import UserError
from robo_rl.cli.common import OptionalFolder
from robo_rl.cli.parsing import parse
from robo_rl.cli.train import prepare

if TYPE_CHECKING:
    from robo_rl.workflows.sweep import Point, Settings, Sweep


@dataclass(frozen=True)
class Arguments:
    """Train over a grid of settings, or over a random or guided search by optuna, several seeds of each point. Every
    training is a run of its own; a sweep that was interrupted goes on where it was (docs/comparing.md)."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SWEEP.yaml")]
    """YAML file: the task, the flags to vary with their values, seeds, metric and search (docs/comparing.md)."""
    out: OptionalFolder = None
    """Folder of the sweep; None: runs/ and the file's name."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "sweep", argv)
    from robo_rl.view import plots
    from robo_rl.workflows import sweep as workflow

    sweep = workflow.read(arguments.file)
    if sweep.search != "grid":
        import optuna  # noqa: F401
    out = arguments.out or Path("runs") / arguments.file.stem
    check(sweep)
    workflow.enter(out, sweep)
    points, code = workflow.train_all(out, sweep, partial(_words, sweep))
    if code:
        print(f"stopped after {len(points)} points; the same command goes on with the sweep", file=sys.stderr)
        return code
    workflow.write_results(out, sweep, points)
    _show(sweep, workflow.ranked(points, sweep.direction))
    plots.sweep([(p.settings, list(p.scores.values())) for p in points], sweep.metric, out / workflow.PLOT)
    print(f"written: {out / workflow.RESULTS}, {out / workflow.PLOT}")
    return 0


def check(sweep: Sweep) -> None:
    """Raise UserError, before anything is trained, for an unknown flag, a wrong value or an unknown metric.

    The metrics are those of one iteration of the first point, which is thrown away.
    """
    from robo_rl.algorithms.registry import algorithm_name, find_algorithm
    from robo_rl.training.record import COUNTS

    first, *others = sweep.examples()
    configuration, task = prepare(_words(sweep, first, sweep.seeds[0]))
    for other in others:
        prepare(_words(sweep, other, sweep.seeds[0]))
    entry = find_algorithm(algorithm_name(configuration.algorithm))
    algorithm = entry.build(configuration.algorithm, task, configuration.seed, configuration.device)
    with tempfile.TemporaryDirectory() as scratch:
        algorithm.enter(Path(scratch))
        known = list(dict.fromkeys((*algorithm.iterate(), *algorithm.later_metrics, *COUNTS)))
    if sweep.metric not in known:
        near = get_close_matches(sweep.metric, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"metrics: {', '.join(known)}"
        raise UserError(f"{configuration.task} has no metric {sweep.metric!r} with these settings; {hint}")


def _words(sweep: Sweep, settings: Settings, seed: int) -> list[str]:
    """The arguments of `robo-rl train` for a point and a seed."""
    from robo_rl.workflows.sweep import flag_name, label

    words, switches = [sweep.task, "--seed", str(seed), "--label", label(settings)], {}
    for name, value in {**sweep.settings, **settings}.items():
        if isinstance(value, bool):
            switches[flag_name(name)] = value
        else:
            words += [f"--{flag_name(name)}", *map(str, value if isinstance(value, list) else [value])]
    if switches:
        # Only the flag that changes a switch exists.
        present = prepare(words)[0].algorithm
        changed = {n: v for n, v in switches.items() if getattr(present, n.replace("-", "_"), not v) is not v}
        words += [f"--{name}" if value else f"--no-{name}" for name, value in changed.items()]
    return words


def _show(sweep: Sweep, points: Sequence[Point]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*sweep.vary, f"{sweep.metric} (95 % interval)", "seeds", "failed")
    for point in points:
        mean, scores = point.mean, list(point.scores.values())
        shown = f"{mean.value:.4g} ({mean.low:.4g} to {mean.high:.4g})"
        cells = [str(value) for value in point.settings.values()]
        table.add_row(*cells, shown, str(len(scores)), str(scores.count(None)))
    Console().print(table)
