"""`robo-rl verify BUNDLE`: all checks of a bundle, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from robo_rl.cli.common import BundleFolder, OptionalFile, check_writable, write_json
from robo_rl.cli.parsing import parse


@dataclass(frozen=True)
class Arguments:
    """Check a bundle: files, hashes, schema, shapes, weights and golden replay."""

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote."""
    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "verify", argv)
    check_writable(arguments.json)
    from deploy.bundle.verification import verify_bundle

    report = verify_bundle(arguments.bundle)
    table = Table("check", "result", "detail")
    for check in report.checks:
        table.add_row(check.name, "ok" if check.ok else "FAILED", check.detail)
    Console().print(table)
    write_json(arguments.json, {"ok": report.ok, **asdict(report)})
    return 0 if report.ok else 1
