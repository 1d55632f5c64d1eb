"""`robo-rl eval RUN_OR_BUNDLE`: fly it from fixed held-out starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tyro

from policies.errors import UserError
from robo_rl.cli.common import Folder, OptionalFile, check_writable, open_evaluated, write_json
from robo_rl.cli.parsing import parse
from robo_rl.evaluation.registry import evaluate_policy, evaluation_tables

STRESS = 1.5
"""What --stress scales the imperfections of the task's world by."""


@dataclass(frozen=True)
class Arguments:
    """Fly a run or a bundle from fixed held-out starts, one episode each."""

    run_or_bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl train` or `robo-rl export` wrote."""
    episodes: int = 1000
    """Number of starts."""
    task: str = ""
    """Task to fly in, a name or FILE.py:NAME; its own when not given."""
    robot: str = ""
    """Robot to fly, such as crazyflie-2025; the task's own when not given."""
    seed: int | None = None
    """Seed of the starts; the held-out one when not given."""
    nominal: bool = False
    """Fly in the nominal world: no noise, delay, disturbance, push or randomization."""
    stress: bool = False
    """Fly in a harder world: noise, delays, disturbances, pushes and randomization 1.5 times as wide."""
    rate: float | None = None
    """Rate in Hz at which the policy is called, a whole multiple of its own, which it is when not given; physics and
    sensors are stepped as often. Quadrotor tasks only."""
    naive: bool = False
    """With --rate: let every call move the policy's states on, as a loop does that is only faster. It shows what that
    costs."""
    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "eval", argv)
    check_writable(arguments.json)
    if arguments.nominal and arguments.stress:
        raise UserError("--nominal and --stress are opposites; give one of them")
    if arguments.naive and arguments.rate is None:
        raise UserError("--naive says how to call a policy at another rate; give --rate, too")
    from robo_rl.evaluation.flying import HELD_OUT_SEED, Calls

    policy, task = open_evaluated(arguments.run_or_bundle, arguments.task)
    seed = HELD_OUT_SEED if arguments.seed is None else arguments.seed
    imperfections = 0.0 if arguments.nominal else STRESS if arguments.stress else 1.0
    calls = Calls(_substeps(arguments.rate, task.period), not arguments.naive)
    evaluation = evaluate_policy(
        policy, task, arguments.episodes, seed, robot=arguments.robot, imperfections=imperfections, calls=calls
    )
    _print(evaluation.summary())
    write_json(
        arguments.json,
        {
            "policy": str(arguments.run_or_bundle),
            "robot": arguments.robot,
            "imperfections": imperfections,
            "substeps": calls.substeps,
            "naive": arguments.naive,
            **evaluation.summary(),
        },
    )
    return 0


def _substeps(rate: float | None, period: float) -> int:
    """How many calls there are in a control period of `period` s. UserError when that is no whole number."""
    if rate is None:
        return 1
    from deploy.bundle.rates import substeps_at

    return substeps_at(rate, period)


def _print(summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{summary['task']}, {summary['episodes']} held-out starts"
    for number, content in enumerate(evaluation_tables(summary)):
        table = Table(*content.heads, title=None if number else title)
        for row in content.rows:
            table.add_row(*row)
        Console().print(table)
