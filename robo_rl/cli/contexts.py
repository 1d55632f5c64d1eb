"""`robo-rl contexts TASK --setting NAME --low A --high B`: few trainings that serve a whole range of contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from policies.errors import UserError
from robo_rl.algorithms.registry import algorithm_name, default_algorithm, recommended_config
from robo_rl.cli.common import Folder
from robo_rl.cli.parsing import parse
from robo_rl.workflows.next_context import Contexts


@dataclass(frozen=True)
class Arguments:
    """Train policies in some contexts of one setting of a task, each chosen by what the ones before it achieve in all
    contexts (MBTL), and say which policy is best in which context."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK")]
    """Name of the task, or FILE.py:NAME."""
    settings: Contexts
    """Contexts and trainings."""
    algorithm: str = ""
    """Learning algorithm; empty: the task's own."""
    iterations: int = 0
    """Iterations of each training; 0: as recommended."""
    seed: int = 0
    """Seed of the trainings."""
    out: Folder = Path("runs/contexts")
    """Folder for the runs and the result, contexts.json; the same command continues what it holds."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "contexts", argv)
    from robo_rl.training.config import TrainConfig
    from robo_rl.workflows.contexts import RESULT, run_contexts
    from sim.tasks import find_task

    task = find_task(arguments.task)
    algorithm = recommended_config(arguments.algorithm or default_algorithm(task), task)
    if arguments.iterations:
        if "iterations" not in algorithm.__dataclass_fields__:
            raise UserError(f"{algorithm_name(algorithm)} has no setting iterations; leave --iterations out")
        algorithm = replace(cast(Any, algorithm), iterations=arguments.iterations)
    training = TrainConfig(arguments.task, algorithm, arguments.seed)
    result = run_contexts(training, arguments.settings, arguments.out)
    print(f"{arguments.settings.setting:>12}  {'return':>10}  best policy")
    for context, best in zip(result["contexts"], result["best"], strict=True):
        print(f"{context:12g}  {best['score']:10.4g}  {best['run']}")
    print(f"written: {arguments.out / RESULT}")
    return 0
