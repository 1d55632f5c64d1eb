"""`robo-rl bench NAME`: measure, print the table, and write the result as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from policies.errors import UserError
from robo_rl.bench.registry import BENCHMARKS, find_benchmark
from robo_rl.cli.common import Folder, OptionalFile, check_writable, write_json
from robo_rl.cli.parsing import parse
from robo_rl.output import results

S = TypeVar("S")


@dataclass(frozen=True)
class Arguments(Generic[S]):
    """Run one benchmark."""

    settings: S
    """Settings of the benchmark."""
    json: OptionalFile = None
    """File for the result, as JSON."""


@dataclass(frozen=True)
class AllArguments:
    """Run every benchmark with its own settings, one after the other."""

    out: Folder = Path("results")
    """Folder for the results, one NAME.json each; `make bench` gives docs/results, which `make tables` reads."""


def run(argv: Sequence[str]) -> int:
    name, rest = (argv[0], argv[1:]) if argv else ("", [])
    if name in ("-h", "--help"):
        print("usage: robo-rl bench NAME [OPTIONS]\n\nMeasure, and write the result as JSON.\n")
        print("\n".join(f"  {bench:<6} {summary}" for bench, summary in BENCHMARKS.items()))
        print("  all    every one of them, into one folder")
        print("\n`robo-rl bench NAME --help` shows a benchmark's options.")
        return 0
    if not name or name.startswith("-"):
        raise UserError(f"the benchmark's name is missing; benchmarks: {', '.join(BENCHMARKS)}, all")
    if name == "all":
        out = parse(AllArguments, "bench all", rest).out
        return max(_measure(bench, find_benchmark(bench).Settings(), out / f"{bench}.json") for bench in BENCHMARKS)
    settings = find_benchmark(name).Settings
    arguments: Any = parse(Arguments[settings], f"bench {name}", rest, Arguments(settings()), BENCHMARKS[name])  # type: ignore[valid-type]
    return _measure(name, arguments.settings, arguments.json)


def _measure(name: str, settings: Any, out: Path | None) -> int:
    check_writable(out)
    from robo_rl.bench.tables import TABLES

    result: dict[str, Any] = find_benchmark(name).run(settings)
    # The file first: an hour's measurement must not be lost to a terminal that has gone.
    write_json(out, result)
    print(TABLES[name](results.plain(result)))
    for failure in result.get("failures", []):
        print(f"robo-rl: bench {name}: {failure}", file=sys.stderr)
    return 1 if result.get("failures") else 0
