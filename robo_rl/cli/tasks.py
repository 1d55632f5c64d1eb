"""`robo-rl tasks`: the tasks there are, with their sensors and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """List the tasks there are to learn."""


def run(argv: Sequence[str]) -> int:
    parse(Arguments, "tasks", argv)
    from rich.console import Console
    from rich.table import Table

    from robo_rl.algorithm import default_algorithm
    from sim.tasks import TASKS

    table = Table("task", "what it is", "sensors", "commands", "rate", "algorithm")
    for task in TASKS.values():
        table.add_row(
            task.name,
            task.summary,
            "\n".join(f"{s.name}[{s.dim}] {s.unit}" for s in task.sensors),
            "\n".join(f"{c.name}[{c.dim}] {c.unit}" for c in task.commands),
            f"{1.0 / task.period:.0f} Hz",
            default_algorithm(task),
        )
    Console().print(table)
    return 0
