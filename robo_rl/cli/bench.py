"""`robo-rl bench NAME`: measure, print the table, and write the result as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from policies.errors import UserError
from robo_rl.bench.registry import BENCHMARKS, find_benchmark
from robo_rl.bench.saved_rows import SavedRows, difference, measure_now, read
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
    """File for the result, as JSON. Until it is complete, finished rows are saved in FILE.partial.json beside it."""
    resume: bool = False
    """Skip what --json already holds: rows of an interrupted measurement with the same settings, machine and commit."""


@dataclass(frozen=True)
class AllArguments:
    """Run every benchmark with its own settings, one after the other."""

    out: Folder = Path("results")
    """Folder for the results, one NAME.json each; `make bench` gives docs/results, which `make tables` reads."""
    long: bool = False
    """Also run those that take more than half an hour."""
    resume: bool = False
    """Skip what the folder already holds: results and rows with the same settings, machine and commit."""


def run(argv: Sequence[str]) -> int:
    name, rest = (argv[0], argv[1:]) if argv else ("", [])
    if name in ("-h", "--help"):
        print("usage: robo-rl bench NAME [OPTIONS]\n\nMeasure, and write the result as JSON.\n")
        for bench, entry in BENCHMARKS.items():
            print(f"  {bench:<6} {entry.summary}{' (more than half an hour)' if entry.long else ''}")
        print(
            "  all    every one of them, into one folder; the long ones with --long only, gpu only where there is one"
        )
        print("\n`robo-rl bench NAME --help` shows a benchmark's options.")
        return 0
    if not name or name.startswith("-"):
        raise UserError(f"the benchmark's name is missing; benchmarks: {', '.join(BENCHMARKS)}, all")
    if name == "all":
        return _run_all(parse(AllArguments, "bench all", rest))
    settings = find_benchmark(name).Settings
    measured = BENCHMARKS[name].summary
    summary = f"{measured[0].upper()}{measured[1:]}."
    arguments: Any = parse(Arguments[settings], f"bench {name}", rest, Arguments(settings()), summary)  # type: ignore[valid-type]
    if arguments.resume and arguments.json is None:
        raise UserError("--resume reads what --json FILE holds; give both")
    return _measure(name, arguments.settings, arguments.json, arguments.resume)


def _run_all(arguments: AllArguments) -> int:
    no_gpu = not results.gpus()
    entries = [name for name, entry in BENCHMARKS.items() if not (entry.gpu and no_gpu)]
    names = [name for name in entries if arguments.long or not BENCHMARKS[name].long]
    codes = [
        _measure(name, find_benchmark(name).Settings(), arguments.out / f"{name}.json", arguments.resume)
        for name in names
    ]
    if without := [name for name in BENCHMARKS if name not in entries]:
        _say("all", f"left out, because there is no NVIDIA GPU here: {', '.join(without)}")
    if left := [name for name in entries if name not in names]:
        _say("all", f"left out, because they take more than half an hour: {', '.join(left)}; --long runs them, too")
    return max(codes)


def _measure(name: str, settings: Any, out: Path | None, resume: bool) -> int:
    check_writable(out)
    from robo_rl.bench.tables import TABLES

    given = results.plain(asdict(settings))
    rows = None if out is None else SavedRows(out, given, resume)
    result = _finished(name, out, given, rows) if resume and out and rows else None
    if result is None:
        result = {**find_benchmark(name).run(settings, rows or measure_now), "settings": given}
        # The file first: an hour's measurement must not be lost with the terminal.
        write_json(out, result)
        if rows is not None:
            rows.remove()
    print(TABLES[name](results.plain(result)))
    for failure in result.get("failures", []):
        _say(name, failure)
    return 1 if result.get("failures") else 0


def _finished(name: str, out: Path, settings: dict[str, Any], rows: SavedRows) -> dict[str, Any] | None:
    """The complete result in `out` if nothing needs to be measured again; else None, after saying why."""
    if rows.path.exists():
        if rows.why_not:
            _say(name, f"no row of {rows.path} is used: {rows.why_not}")
        return None
    result = read(out)
    if result is None:
        return None
    why_not = difference(result, settings)
    _say(name, f"{out} is measured again: {why_not}" if why_not else f"{out} is complete, nothing is measured")
    return None if why_not else result


def _say(name: str, text: str) -> None:
    print(f"robo-rl: bench {name}: {text}", file=sys.stderr)
