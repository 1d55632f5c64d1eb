"""`robo-rl export RUN --out FOLDER`: export a run as a bundle."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from robo_rl.cli.common import Folder, OptionalBatch, OptionalFile, RunFolder, check_writable, write_json
from robo_rl.cli.parsing import parse
from robo_rl.evaluation.registry import evaluation_tables


@dataclass(frozen=True)
class Arguments:
    """Export the last checkpoint of a run as a bundle, the folder that a robot loads."""

    run: RunFolder
    """Folder that `robo-rl train` wrote."""
    out: Folder
    """Folder for the bundle; an earlier bundle is replaced, a folder with other files is refused."""
    episodes: int = 1000
    """Held-out starts of the evaluation that is stored in the bundle."""
    batch: OptionalBatch = None
    """Also write policy_static.onnx, the same network for exactly this many robots (1 for a robot), for runtimes that
    need every shape."""
    json: OptionalFile = None
    """File for what was exported, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "export", argv)
    check_writable(arguments.json)
    from robo_rl.workflows.export import export_run

    done = export_run(arguments.run, arguments.out, arguments.episodes, arguments.batch)
    report = done.report
    worst = max(report.parity, key=lambda p: p.normalised)
    print(f"{report.path}: {report.parameters} weights, {report.model_bytes} bytes of ONNX")
    print(
        f"torch and onnxruntime differ by at most {worst.normalised:.1e} of the range "
        f"({worst.output}, {report.visited} states)"
    )
    for measure, value in evaluation_tables(done.evaluation)[0].rows:
        print(f"{measure}: {value}")
    if done.not_offered:
        found = "; ".join(done.not_offered)
        print(f"warning: no known robot can run this bundle, deploy will refuse it: {found}", file=sys.stderr)
    write_json(
        arguments.json,
        {
            "bundle": str(report.path),
            "kind": report.manifest.kind,
            "visited": report.visited,
            "parity": [asdict(parity) for parity in report.parity],
            "parameters": report.parameters,
            "evaluation": done.evaluation,
            "not_offered": done.not_offered,
        },
    )
    return 0
