"""`robo-rl tasks`: the tasks there are, with their sensors and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """List the tasks with their sensors and commands."""


def run(argv: Sequence[str]) -> int:
    parse(Arguments, "tasks", argv)
    from robo_rl.algorithms.registry import default_algorithm
    from sim.tasks import TASKS
    from sim.tasks.files import load_offered, offered

    for task in (*TASKS.values(), *(load_offered(entry) for entry in offered().values())):
        sensors = ", ".join(f"{s.name}[{s.dim}] {s.unit}" for s in task.sensors)
        commands = ", ".join(f"{c.name}[{c.dim}] {c.unit}" for c in task.commands)
        print(f"{task.name}\n  {task.summary}")
        print(f"  sensors: {sensors}\n  commands: {commands}, at {1.0 / task.period:g} Hz")
        print(f"  learned by {default_algorithm(task)} unless --algorithm says otherwise\n")
    return 0
