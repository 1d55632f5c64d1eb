"""`robo-rl sim2sim BUNDLE`: evaluate a bundle in a physics engine that it was not trained in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from robo_rl.cli.common import BundleFolder, OptionalFile, OptionalSeed, check_writable, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from robo_rl.evaluation.sim2sim import Comparison
    from robo_rl.evaluation.sim2sim_terrain import TerrainComparison


@dataclass(frozen=True)
class Arguments:
    """Run a bundle in MuJoCo and in another physics engine with the same commands, and compare.

    Exit code 0 when falls and velocity error in the other engine, or on rough ground its successes, are within their
    limits, else 1.
    """

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote, for a legged robot's task."""
    task: str = ""
    """Task to walk in, a name or FILE.py:NAME; empty: the bundle's own."""
    backend: str = "pybullet"
    """Engine to compare MuJoCo with: pybullet, or mujoco-hard, which has contacts nearly as hard."""
    robots: int = 20
    """Number of robots, on rough ground on each kind of it, each with its own start and commands."""
    kinds: tuple[str, ...] = ()
    """Kinds of rough ground to walk on, such as stairs_up; none: all of the task's."""
    seconds: float = 20.0
    """Duration in s."""
    imperfections: float = 0.0
    """Scale of the task's noise and pushes in both engines; the robots' parameters are always nominal."""
    seed: OptionalSeed = None
    """Seed of starts and commands; None: the held-out one."""
    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "sim2sim", argv)
    check_writable(arguments.json)
    from deploy.bundle.reader import load_bundle
    from robo_rl.evaluation.flying import HELD_OUT_SEED
    from robo_rl.evaluation.sim2sim import Settings, compare
    from robo_rl.evaluation.sim2sim_terrain import compare_on_terrain, terrain_of
    from robo_rl.training.tasks import task_of_bundle

    settings = Settings(
        arguments.backend,
        arguments.robots,
        arguments.seconds,
        arguments.imperfections,
        HELD_OUT_SEED if arguments.seed is None else arguments.seed,
    )
    bundle = load_bundle(arguments.bundle)
    with Progress(console=Console(stderr=True), transient=True) as bars:
        rows = {name: bars.add_task(name, total=1.0) for name in (settings.backend, "mujoco")}

        def progress(engine: str, share: float) -> None:
            bars.update(rows[engine], completed=share)

        task = task_of_bundle(bundle, arguments.task)
        comparison: Comparison | TerrainComparison
        if arguments.kinds or terrain_of(task):
            comparison = compare_on_terrain(bundle, task, settings, arguments.kinds, progress)
            _print_terrain(comparison)
        else:
            comparison = compare(bundle, task, settings, progress)
            _print(comparison)
    write_json(arguments.json, {"policy": str(arguments.bundle), **comparison.summary()})
    return 0 if comparison.holds else 1


def _print(comparison: Comparison) -> None:
    from robo_rl.evaluation.sim2sim import MAX_ERROR_RATIO, MAX_FALLS, MEASURES

    s = comparison.settings
    title = f"{comparison.task}, {s.robots} robots for {s.seconds:g} s, imperfections {s.imperfections:g}"
    table = Table("measure", "mujoco", s.backend, "ratio", title=title)
    for measure, unit in MEASURES.items():
        values = comparison.mujoco.mean(measure), comparison.other.mean(measure), comparison.ratio(measure)
        table.add_row(measure.replace("_", " ") + (f", {unit}" if unit else ""), *map(_number, values))
    console = Console()
    console.print(table)
    falls, error = comparison.other.mean("fall_rate"), comparison.ratio("velocity_error")
    for holds, text in (
        (comparison.falls_hold, f"falls {100 * falls:.1f} %, at most {100 * MAX_FALLS:.0f} %"),
        (comparison.error_holds, f"velocity error {error:.2f} times MuJoCo's, at most {MAX_ERROR_RATIO:g}"),
    ):
        console.print(f"{'ok    ' if holds else 'FAILED'} {text}")


def _print_terrain(comparison: TerrainComparison) -> None:
    from robo_rl.evaluation.sim2sim_terrain import MIN_KEPT
    from sim.terrain.kinds import size_at

    s = comparison.settings
    title = f"{comparison.task}, {s.robots} robots on each kind for {s.seconds:g} s: success"
    table = Table("ground", "level", "size, m or rad", "robots", "mujoco", s.backend, title=title)
    for place in comparison.places:
        kind, level = place.mujoco.kind, place.mujoco.level
        shares = (f"{100 * score.success.value:.0f} %" for score in (place.mujoco, place.other))
        table.add_row(kind, str(level), f"{size_at(kind, level):.3g}", str(place.mujoco.worlds), *shares)
    console = Console()
    console.print(table)
    own, other = (100 * comparison.success(engine).value for engine in ("mujoco", "other"))
    console.print(
        f"{'ok    ' if comparison.holds else 'FAILED'} {other:.0f} % succeed in {s.backend}, at least "
        f"{100 * MIN_KEPT:.0f} % of the {own:.0f} % in MuJoCo"
    )


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
