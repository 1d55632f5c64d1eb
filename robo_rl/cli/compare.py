"""`robo-rl compare RUN...`: whether one way of training is better than another, over several seeds of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from policies.errors import UserError
from robo_rl.cli.common import OptionalFile, check_writable, os_error, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from robo_rl.evaluation.comparison import Compared


@dataclass(frozen=True)
class Arguments:
    """Compare groups of runs that differ in more than their seeds: AdaStop's verdict for each pair of groups, intervals
    of the means, and a plot of all curves. A run's score is the mean of a metric at the end of its training."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Folders that `robo-rl train` wrote, finished, of one task."""
    metric: str = "episode_return"
    """Metric to compare, by its name in metrics.jsonl."""
    by: Literal["algorithm", "task", "label"] = "algorithm"
    """What names a run's group; label is that of `robo-rl train --label`, else the run's folder without its seed."""
    tail: float = 0.1
    """Last part of a training whose mean is its score."""
    seeds: int = 5
    """Seeds of each group that the test looks at first, and adds with each further look."""
    interims: int = 5
    """Looks at most, chosen before the first one; 1 decides every pair with the first seeds."""
    alpha: float = 0.05
    """Chance of calling any two groups different that are not."""
    plot: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("compare.png")
    """PNG file for the plot of all curves."""
    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "compare", argv)
    from robo_rl.evaluation.comparison import compare_runs, curves
    from robo_rl.evaluation.statistics import Design
    from robo_rl.view import plots

    check_writable(arguments.json)
    if len(arguments.runs) < 2:
        raise UserError("a comparison needs two runs or more, of several seeds; name their folders")
    if not 0.0 < arguments.tail <= 1.0:
        raise UserError(f"--tail must be above 0 and at most 1, got {arguments.tail:g}")
    design = Design(arguments.seeds, arguments.interims, arguments.alpha)
    compared = compare_runs(arguments.runs, arguments.metric, arguments.by, design, arguments.tail)
    show(compared)
    try:
        plots.comparison(curves(compared.groups, compared.metric), compared.metric, arguments.plot)
    except OSError as error:
        raise UserError(f"can't write {arguments.plot} ({os_error(error)}); name another --plot") from None
    print(f"written: {arguments.plot}")
    write_json(arguments.json, compared.document())
    return 0


def show(compared: Compared) -> None:
    """Print the groups, best first, and the verdict for each pair."""
    from rich.console import Console
    from rich.table import Table

    groups = Table("group", "seeds", f"{compared.metric} (95 % interval)")
    for group in compared.groups:
        mean = group.mean
        groups.add_row(group.name, str(len(group.scores)), f"{mean.value:.4g} ({mean.low:.4g} to {mean.high:.4g})")
    pairs = Table("first", "is", "second", "difference", "seeds")
    for pair in compared.test.pairs:
        pairs.add_row(pair.first, pair.verdict, pair.second, f"{pair.difference:.4g}", str(pair.seeds))
    for table in (groups, pairs):
        Console().print(table)
    for note in compared.notes:
        print(f"note: {note}")
    design = compared.test.design
    print(f"AdaStop at level {design.alpha:g} stopped at {compared.test.seeds} seeds of each group")
    if compared.test.undecided:
        more = compared.test.seeds + design.seeds
        print(f"undecided: train {' and '.join(compared.test.undecided)} with {more} seeds, or say --interims 1")
