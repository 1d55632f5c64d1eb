"""The tables of the docs, written from the result files of `robo-rl bench`, so that no measured number is typed.

A document holds pairs of markers, and only the text between them is generated:

    <!-- table: hover -->
    ...
    <!-- end of table -->

`python -m robo_rl.bench.tables` renders `docs/results/*.json` into README.md and docs/benchmarks.md; with `--check` it
writes nothing and exits 1 when a document is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from policies.errors import UserError
from robo_rl.bench import flight_tables, legged_tables
from robo_rl.bench.distill_table import distill
from robo_rl.bench.markdown import Result, markdown_table, percent
from robo_rl.bench.mcu_table import mcu
from robo_rl.bench.registry import measured_code
from robo_rl.output.files import write_text
from robo_rl.output.results import changed_since, short_commit

RESULTS = Path("docs/results")
DOCUMENTS = (Path("README.md"), Path("docs/benchmarks.md"))
REGION = re.compile(r"(?P<begin><!-- table: (?P<name>[a-z0-9-]+) -->\n).*?(?P<end><!-- end of table -->)", re.DOTALL)
CHANGED = {
    True: " **What it measures has changed since.**",
    False: "",
    None: " This checkout lacks that commit, so whether what it measures has changed since is unknown.",
}
"""The sentence after the commit of a result, by whether the measured code has changed since."""
OLDER = ", code changed since"

TABLES: dict[str, Callable[[Result], str]] = {
    "hover": flight_tables.hover,
    "track": flight_tables.track,
    "rotor": flight_tables.rotor,
    "gpu": flight_tables.gpu,
    "loop": flight_tables.loop,
    "env": legged_tables.env,
    "walk": legged_tables.walk,
    "own": legged_tables.own,
    "ppo": legged_tables.ppo,
    "mcu": mcu,
    "curricula": legged_tables.curricula,
    "distill": distill,
    "rough": legged_tables.rough,
    "any": flight_tables.any_vehicle,
    "chip": flight_tables.chip,
    "sim2sim": legged_tables.sim2sim,
}
SUMMARY: tuple[tuple[str, str, str, Callable[[Result], str]], ...] = (
    (
        "Crazyflie learns to hover: training time, median",
        "hover",
        "hover",
        lambda r: f"{r['median_train_seconds']:.0f} s",
    ),
    (
        "Crazyflie hovers: success, of the starts that can be saved at all, median",
        "hover",
        "hover",
        lambda r: percent(median(seed["share_of_savable"] for seed in r["seeds"])),
    ),
    (
        "Go1 learns to follow velocity commands: training time, median",
        "walk",
        "walking",
        lambda r: legged_tables.seconds(r["median_seconds_to_0.20"], " s"),
    ),
    (
        "Go1 walks: velocity error after the whole training, median",
        "walk",
        "walking",
        lambda r: f"{r['median_final_velocity_error']:.2f} m/s",
    ),
    (
        "Go1 walks in another physics engine: velocity error, relative to its own engine",
        "sim2sim",
        "in-another-physics-engine",
        lambda r: f"{r['ratio']['velocity_error']:.2f}",
    ),
    (
        "Go1 environment: speed, relative to bare MuJoCo, lowest",
        "env",
        "a-legged-environments-own-cost",
        lambda r: percent(min(row["share_of_bare"] for row in r["worlds"].values())),
    ),
    (
        "control loop through a ROS bridge: age of a command, 99th percentile, highest",
        "loop",
        "control-loop",
        lambda r: f"{max(row['age_p99_ms'] for row in r['rates'].values()):.0f} ms",
    ),
    (
        "Crazyflie firmware on an emulated microcontroller: flights that lasted",
        "chip",
        "flown-by-a-microcontroller",
        lambda r: (
            f"{sum(row['survived'] for row in r['rows'] if 'left' in row)} of "
            f"{r['starts'] * sum('left' in row for row in r['rows'])}"
        ),
    ),
)
"""The rows of README.md: what is measured, its table, the anchor of that table's heading, and the value."""
COMMANDS = {"sim2sim": "sim2sim BUNDLE"}
"""How `robo-rl` measures a table, where it is not `bench NAME`."""


def provenance(name: str, result: Result) -> str:
    """Where the numbers of table `name` come from: command, machines, versions, evaluation seed and commit, and whether
    the measured code has changed since.
    """
    where = "; and on ".join(
        dict.fromkeys(_machine(machine) for machine in (result["machine"], *_row_machines(result)))
    )
    versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
    seed = next((f", evaluation seed {value}" for value in _evaluation_seeds(result)), "")
    line = f"Measured by `{result['command']}` on {where}; {versions}{seed}"
    commit = result.get("git_commit")
    if not commit:
        return f"{line}, outside git."
    return f"{line}, commit {short_commit(commit)}.{CHANGED[changed_since(commit, measured_code(name))]}"


def _machine(machine: Result) -> str:
    parts = [machine["processor"], f"{machine['cores']} cores", f"{machine['memory_gb']:g} GB", *machine["gpus"]]
    return ", ".join(parts)


def _row_machines(value: Any) -> Iterator[Result]:
    """The machines that the rows of a result name, at any depth of `value`."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if name == "machine":
                yield entry
            else:
                yield from _row_machines(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _row_machines(entry)


def _evaluation_seeds(result: Result) -> Iterator[int]:
    """The seed of held-out starts or commands, under the names that results have or had for it."""
    for holder, name in (
        (result, "evaluation_seed"),
        (result, "held_out_seed"),
        (result.get("evaluation", {}), "seed"),
    ):
        if name in holder:
            yield holder[name]


def section(name: str, results: Path) -> str:
    """The text between the markers of table `name`; says how to measure it when there is no result file yet."""
    if name == "summary":
        rows = [
            (what, figure, f"[{table}](docs/benchmarks.md#{anchor}){_from(table, results, partial(_age, table))}")
            for what, table, anchor, shown in SUMMARY
            if (figure := _from(table, results, shown))
        ]
        return markdown_table(("measured", "value", "table"), rows) + "\n"
    if name not in TABLES:
        raise UserError(f"there is no table {name!r}; tables: {', '.join(sorted(TABLES))}, summary")
    text = _from(name, results, lambda result: f"{TABLES[name](result)}\n\n{provenance(name, result)}\n")
    return text or f"Not measured yet: `{_command(name)} --json {RESULTS}/{name}.json`, then `make tables`.\n"


def _from(name: str, results: Path, shown: Callable[[Result], str]) -> str:
    """The text that `shown` gives for the result of table `name`; empty where it is not measured yet."""
    path = results / f"{name}.json"
    if not path.exists():
        return ""
    try:
        return shown(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} is not a result of `{_command(name)}` ({type(error).__name__}: {error}); measure it again"
        ) from error


def _age(name: str, result: Result) -> str:
    return OLDER if changed_since(result["git_commit"], measured_code(name)) else ""


def _command(name: str) -> str:
    return f"robo-rl {COMMANDS.get(name, f'bench {name}')}"


def render(text: str, results: Path) -> str:
    """`text` with every marked region rewritten from the result files in `results`."""
    return REGION.sub(lambda m: m["begin"] + section(m["name"], results) + m["end"], text)


def main(arguments: list[str] | None = None, root: Path | None = None) -> int:
    """Render every document below `root` (the current folder by default).

    Returns 0 when they are written or up to date, 1 when `--check` found one out of date, 2 for a bad argument or file.
    """
    given = sys.argv[1:] if arguments is None else arguments
    base = root or Path()
    if given not in ([], ["--check"]):
        print(f"unknown arguments: {' '.join(given)}; there is only --check", file=sys.stderr)
        return 2
    stale = []
    try:
        for document in (base / d for d in DOCUMENTS):
            before = document.read_text(encoding="utf-8")
            after = render(before, base / RESULTS)
            if after != before:
                stale.append(str(document))
                if not given:
                    write_text(document, after)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if stale:
        print(f"{'out of date, run `make tables`' if given else 'written'}: {', '.join(stale)}")
    return 1 if given and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
