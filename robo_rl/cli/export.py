"""`robo-rl export RUN --out DIR`: turn a run into a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from robo_rl.cli.common import Folder
from robo_rl.cli.parsing import parse
from robo_rl.evaluation.registry import evaluation_tables


@dataclass(frozen=True)
class Arguments:
    """Turn the last checkpoint of a run into a bundle, the folder that a robot loads."""

    run: tyro.conf.Positional[Folder]
    """Folder that `robo-rl train` wrote."""
    out: Folder
    """Folder of the bundle; an older bundle there is replaced, anything else is left alone."""
    episodes: int = 1000
    """Held-out starts of the evaluation that the bundle carries."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "export", argv)
    from robo_rl.workflows.export import export_run

    done = export_run(arguments.run, arguments.out, arguments.episodes)
    worst = max(done.report.parity, key=lambda p: p.normalised)
    print(f"{done.report.path}: {done.report.parameters} weights, {done.report.model_bytes} bytes of ONNX")
    print(
        f"torch and onnxruntime differ by at most {worst.normalised:.1e} of the range "
        f"({worst.output}, {done.report.visited} states)"
    )
    for measure, value in evaluation_tables(done.evaluation)[0].rows:
        print(f"{measure}: {value}")
    return 0
