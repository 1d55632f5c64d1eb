"""`robo-rl demo`: the whole chain in one command, as `make demo` runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from policies.errors import UserError
from robo_rl.cli.common import Folder, os_error
from robo_rl.cli.parsing import parse
from robo_rl.training.config import MAX_SEED


@dataclass(frozen=True)
class Arguments:
    """Train crazyflie-hover, export and verify it, and fly it through bridge and simulated robot.

    The robot is a model that the policy was not trained on. Exit code 0 only if the flight held.
    """

    out: Folder = Path("runs/demo")
    """Folder for run, bundle, recording, logs and pictures; an earlier demo there is replaced."""
    seed: int = 0
    """Seed of the training."""
    duration: float = 20.0
    """Time in s under the policy; the step comes in the middle."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "demo", argv)
    if not 2.0 <= arguments.duration < inf:
        raise UserError(f"duration must be at least 2 s, for a step in the middle, got {arguments.duration}")
    if not 0 <= arguments.seed <= MAX_SEED:
        raise UserError(f"seed must be at least 0 and at most {MAX_SEED}, got {arguments.seed}")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't make the folder {arguments.out} ({os_error(error)}); name another --out") from None
    from rich.console import Console
    from rich.table import Table

    from robo_rl.workflows import demo

    console = Console()
    began = time.perf_counter()
    result = demo.run(
        arguments.out,
        arguments.seed,
        arguments.duration,
        lambda line: console.print(f"$ {line}", style="bold", markup=False, highlight=False, soft_wrap=True),
    )
    title = f"{demo.TASK} on {demo.ROBOT}, {time.perf_counter() - began:.0f} s in all"
    table = Table("measure", "value", title=title)
    for row in result.rows:
        table.add_row(*row)
    console.print(table)
    for file in result.files:
        console.print(str(file), markup=False, soft_wrap=True)
    return 0 if result.held else 1
