"""`robo-rl eval RUN_OR_BUNDLE`: evaluate a policy from fixed held-out starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.bundle.rates import substeps_at
from policies.errors import UserError
from robo_rl.cli.common import (
    OptionalFile,
    OptionalRate,
    OptionalSeed,
    RunOrBundle,
    check_writable,
    open_evaluated,
    write_json,
)
from robo_rl.cli.parsing import parse
from robo_rl.evaluation.registry import evaluate_policy, evaluation_tables

STRESS = 1.5
"""The factor of --stress for the imperfections of the task's world."""


@dataclass(frozen=True)
class Arguments:
    """Evaluate a run or a bundle from fixed held-out starts, one episode each."""

    run_or_bundle: RunOrBundle
    """Folder that `robo-rl train` or `robo-rl export` wrote."""
    episodes: int = 1000
    """Number of starts."""
    task: str = ""
    """Task to evaluate in, a name or FILE.py:NAME; empty: the policy's own."""
    robot: str = ""
    """Parameter set of the robot, such as crazyflie-2025; empty: the task's own."""
    seed: OptionalSeed = None
    """Seed of the starts; None: the held-out one."""
    nominal: bool = False
    """Evaluate in the nominal world: no noise, delay, disturbance, push or randomization."""
    stress: bool = False
    """Evaluate in a harder world: noise, delays, disturbances, pushes and randomization times 1.5."""
    rate: OptionalRate = None
    """Rate of policy, physics and sensors in Hz, a whole multiple of the policy's; None: its own. Quadrotors only."""
    naive: bool = False
    """With --rate: advance the policy's states at every call instead of once per control period, to show the effect."""
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
    calls = Calls(substeps_at(arguments.rate, task.period), not arguments.naive)
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


def _print(summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{summary['task']}, {summary['episodes']} held-out starts"
    for number, content in enumerate(evaluation_tables(summary)):
        table = Table(*content.heads, title=None if number else title)
        for row in content.rows:
            table.add_row(*row)
        Console().print(table)
