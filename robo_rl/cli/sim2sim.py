"""`robo-rl sim2sim BUNDLE`: does it walk in an engine it was not trained in?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from robo_rl.cli.common import Folder, OptionalFile, check_writable, open_bundle, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from robo_rl.evaluation.sim2sim import Comparison


@dataclass(frozen=True)
class Arguments:
    """Walk a bundle in MuJoCo and in another physics engine, under the same commands, and compare the two."""

    bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl export` wrote, of a legged robot's flat task."""
    task: str = ""
    """Task to walk in, a name or FILE.py:NAME; its own when not given."""
    backend: str = "pybullet"
    """What to compare the task's own MuJoCo with: pybullet, or mujoco-hard, which has contacts nearly as hard."""
    robots: int = 20
    """Robots, each with its own start and commands."""
    seconds: float = 20.0
    """How long they walk, in s."""
    imperfections: float = 0.0
    """Scale of the task's noise and pushes, in both engines alike; robots are always the nominal ones."""
    seed: int | None = None
    """Seed of starts and commands; the held-out one when not given."""
    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "sim2sim", argv)
    check_writable(arguments.json)
    from robo_rl.evaluation.flying import HELD_OUT_SEED
    from robo_rl.evaluation.sim2sim import Settings, compare
    from robo_rl.training.tasks import task_of_bundle

    settings = Settings(
        arguments.backend,
        arguments.robots,
        arguments.seconds,
        arguments.imperfections,
        HELD_OUT_SEED if arguments.seed is None else arguments.seed,
    )
    bundle = open_bundle(arguments.bundle)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        rows = {name: bars.add_task(name, total=1.0) for name in (settings.backend, "mujoco")}

        def progress(engine: str, share: float) -> None:
            bars.update(rows[engine], completed=share)

        comparison = compare(bundle, task_of_bundle(bundle, arguments.task), settings, progress)
    _print(comparison)
    write_json(arguments.json, {"policy": str(arguments.bundle), **comparison.summary()})
    return 0 if comparison.falls_hold and comparison.error_holds else 1


def _print(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from robo_rl.evaluation.sim2sim import MAX_ERROR_RATIO, MAX_FALLS, MEASURES

    s = comparison.settings
    title = f"{comparison.task}, {s.robots} robots for {s.seconds:g} s, imperfections {s.imperfections:g}"
    table = Table("measure", "mujoco", s.backend, "ratio", title=title)
    for measure in MEASURES:
        mujoco, other = comparison.mujoco.mean(measure.name), comparison.other.mean(measure.name)
        name = measure.name.replace("_", " ") + (f", {measure.unit}" if measure.unit else "")
        table.add_row(name, *(_number(v) for v in (mujoco, other, comparison.ratio(measure.name))))
    console = Console()
    console.print(table)
    falls, error = comparison.other.mean("fall_rate"), comparison.ratio("velocity_error")
    for holds, text in (
        (comparison.falls_hold, f"falls {100 * falls:.1f} %, at most {100 * MAX_FALLS:.0f} %"),
        (comparison.error_holds, f"velocity error {error:.2f} times MuJoCo's, at most {MAX_ERROR_RATIO:g}"),
    ):
        console.print(f"{'ok    ' if holds else 'FAILED'} {text}")


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
