"""`robo-rl eval RUN_OR_BUNDLE`: fly it from fixed held-out starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from policies.errors import UserError
from robo_rl.cli.common import Folder, OptionalFile, between, check_writable, open_bundle, write_json
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from robo_rl.evaluate import Evaluation


@dataclass(frozen=True)
class Arguments:
    """Fly a run or a bundle from fixed held-out starts, one episode each."""

    run_or_bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl train` or `robo-rl export` wrote."""
    episodes: int = 1000
    """Number of starts."""
    task: str = ""
    """Task to fly in; its own when not given."""
    robot: str = ""
    """Robot to fly, such as crazyflie-2025; the task's own when not given."""
    seed: int | None = None
    """Seed of the starts; the held-out one when not given."""
    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "eval", argv)
    check_writable(arguments.json)
    from robo_rl.evaluate import HELD_OUT_SEED, evaluate
    from sim.tasks import find_task

    policy, own_task = _open(arguments.run_or_bundle)
    task = find_task(arguments.task or own_task)
    seed = HELD_OUT_SEED if arguments.seed is None else arguments.seed
    evaluation = evaluate(policy, task, arguments.episodes, seed, robot=arguments.robot)
    _print(evaluation)
    write_json(
        arguments.json, {"policy": str(arguments.run_or_bundle), "robot": arguments.robot, **evaluation.summary()}
    )
    return 0


def _open(folder: Path) -> tuple[Any, str]:
    """The policy in a run's or bundle's folder and the name of the task it was made for."""
    from deploy.bundle import MANIFEST_FILE
    from robo_rl import runner

    if (folder / runner.CONFIG).is_file():
        trained = runner.load_trained(folder)
        return trained.graph, trained.configuration.task
    if (folder / MANIFEST_FILE).is_file():
        bundle = open_bundle(folder)
        return bundle, bundle.manifest.identity.task
    wrong = "does not exist" if not folder.exists() else "is neither a run nor a bundle"
    raise UserError(f"{folder} {wrong}; name a folder that `robo-rl train` or `robo-rl export` wrote")


def _print(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table

    summary = evaluation.summary()
    table = Table("measure", "value (95% interval)", title=f"{evaluation.task}, {evaluation.episodes} held-out starts")
    table.add_row("survival", between(summary["survival"], "%", 1))
    if "distance_m" in summary:
        distance = summary["distance_m"]
        table.add_row("success at 0.1 m", between(summary["success_at_0.1"], "%", 1))
        table.add_row("distance, last second, survivors", between(distance, "m"))
        for name in ("p50", "p90", "p99", "worst"):
            if distance[name] is not None:
                table.add_row(f"  {name}", f"{distance[name]:.3f} m")
        table.add_row("RMSE, whole episode, survivors", between(summary["rmse_m"], "m"))
    table.add_row("return", between(summary["episode_return"], digits=1))
    Console().print(table)
