"""Rows of benchmarks survive an interruption, and are used again only where they are comparable with new ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robo_rl.bench import registry, tables
from robo_rl.bench.registry import BENCHMARKS, OTHERS, Benchmark, find_benchmark, measured_code
from robo_rl.bench.saved_rows import Keep, SavedRows, measure_now
from robo_rl.cli import bench
from robo_rl.cli.main import main
from robo_rl.output import results
from tests.imports import imports, is_below, modules

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {"seeds": 3, "worlds": [1, 2]}


@pytest.fixture(autouse=True)
def known_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "git_commit", lambda: "a" * 40)
    monkeypatch.setattr(results, "machine", lambda: {"processor": "one", "cores": 2})
    monkeypatch.setattr(results, "versions", lambda: {"torch": "1"})


def fail() -> dict[str, Any]:
    raise AssertionError("measured again")


def save_one(out: Path, settings: dict[str, Any] = SETTINGS) -> None:
    SavedRows(out, settings)("seed 0", lambda: {"value": 0.5})


def test_a_row_is_saved_at_once_with_its_machine_and_not_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    save_one(out)
    saved = json.loads((tmp_path / "result.partial.json").read_text())
    assert saved["rows"] == {"seed 0": {"value": 0.5, "machine": {"processor": "one", "cores": 2}}}
    assert {"settings", "machine", "versions", "git_commit", "command", "written"} <= saved.keys()
    resumed = SavedRows(out, SETTINGS, resume=True)
    assert resumed("seed 0", fail)["value"] == 0.5
    assert resumed("seed 1", lambda: {"value": 1.5})["value"] == 1.5
    assert list(json.loads(resumed.path.read_text())["rows"]) == ["seed 0", "seed 1"]
    resumed.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_benchmark_adds_to_a_row_does_not_change_the_saved_one(tmp_path: Path) -> None:
    rows = SavedRows(tmp_path / "result.json", SETTINGS)
    rows("seed 0", lambda: {"value": 0.5})["added"] = 1
    assert rows("seed 0", fail) == {"value": 0.5, **measure_now("", dict)}


@pytest.mark.parametrize(
    ("change", "why_not"),
    [
        (("git_commit", "b" * 40), f"git commit differs: {'a' * 40}, now {'b' * 40}"),
        (("git_commit", "a" * 40 + "-dirty"), "uncommitted changes"),
        (("git_commit", None), "without git"),
        (("machine", {"processor": "one", "cores": 4}), "machine differs: cores 2, now 4"),
        (("versions", {"torch": "2"}), "versions differ: torch 1, now 2"),
    ],
)
def test_rows_of_other_code_or_of_another_machine_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: tuple[str, Any], why_not: str
) -> None:
    save_one(tmp_path / "result.json")
    monkeypatch.setattr(results, change[0], lambda: change[1])
    resumed = SavedRows(tmp_path / "result.json", SETTINGS, resume=True)
    assert resumed.why_not.startswith(why_not)
    assert resumed("seed 0", lambda: {"value": 9.0})["value"] == 9.0


def test_rows_of_other_settings_and_damaged_files_are_not_used(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    save_one(out)
    other = SavedRows(out, {**SETTINGS, "seeds": 4}, resume=True)
    assert other.why_not == "settings differ: seeds 3, now 4"
    for damaged in ("{", "[]"):
        other.path.write_text(damaged)
        assert SavedRows(out, SETTINGS, resume=True)("seed 0", lambda: {"value": 9.0})["value"] == 9.0
    assert SavedRows(tmp_path / "nowhere/result.json", SETTINGS, resume=True).why_not == ""


@dataclass(frozen=True)
class Settings:
    """Measure nothing."""

    seed: int = 0
    """Seed."""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[int], list[int]]:
    """A benchmark `count` of five rows; call it to have it interrupted in a row, and to get the rows it measures."""
    measured: list[int] = []
    interrupted_in = [-1]

    def run(settings: Settings, keep: Keep) -> dict[str, Any]:
        def measure(number: int) -> dict[str, Any]:
            if number == interrupted_in[0]:
                raise KeyboardInterrupt
            measured.append(number)
            return {"number": number}

        return {"rows": [keep(str(number), lambda number=number: measure(number)) for number in range(5)]}  # type: ignore[misc]

    monkeypatch.setitem(sys.modules, "robo_rl.bench.count", SimpleNamespace(Settings=Settings, run=run))
    monkeypatch.setitem(BENCHMARKS, "count", Benchmark("counts", ("policies",)))
    monkeypatch.setitem(tables.TABLES, "count", lambda result: f"{len(result['rows'])} rows")
    monkeypatch.chdir(tmp_path)

    def prepare(row: int) -> list[int]:
        interrupted_in[0] = row
        measured.clear()
        return measured

    return prepare


def test_an_interrupted_benchmark_goes_on_where_it_was_and_a_complete_one_is_left_alone(
    benchmark: Callable[[int], list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = benchmark(3)
    assert main(["bench", "count", "--json", "out.json"]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial.json"]
    measured = benchmark(-1)
    assert main(["bench", "count", "--json", "out.json", "--resume"]) == 0
    assert measured == [3, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    document = json.loads((tmp_path / "out.json").read_text())
    assert [row["number"] for row in document["rows"]] == [0, 1, 2, 3, 4]
    assert all(row["machine"] == document["machine"] for row in document["rows"])
    assert document["settings"] == {"seed": 0}

    measured = benchmark(-1)
    capsys.readouterr()
    assert main(["bench", "count", "--json", "out.json", "--resume"]) == 0
    assert measured == [] and "out.json is complete" in capsys.readouterr().err
    assert main(["bench", "count", "--json", "out.json", "--resume", "--seed", "1"]) == 0
    assert measured == [0, 1, 2, 3, 4]
    assert "out.json is measured again: settings differ: seed 0, now 1" in capsys.readouterr().err
    measured = benchmark(-1)
    assert main(["bench", "count", "--json", "out.json"]) == 0
    assert measured == [0, 1, 2, 3, 4]


def test_resuming_needs_a_file_and_says_why_rows_are_not_used(
    benchmark: Callable[[int], list[int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "count", "--resume"]) == 2
    assert "--resume reads what --json FILE holds; give both" in capsys.readouterr().err
    measured = benchmark(-1)
    save_one(tmp_path / "out.json", {"seed": 7})
    assert main(["bench", "count", "--json", "out.json", "--resume"]) == 0
    assert measured == [0, 1, 2, 3, 4]
    assert "no row of out.partial.json is used: settings differ: seed 7, now 0" in capsys.readouterr().err


def test_long_benchmarks_are_left_out_of_all_of_them_unless_asked_for(
    benchmark: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (registry, bench):
        monkeypatch.setattr(
            module,
            "BENCHMARKS",
            {
                "count": Benchmark("counts", (), long=True),
                "short": Benchmark("counts", ()),
                "card": Benchmark("counts", (), gpu=True),
            },
        )
    monkeypatch.setattr(results, "gpus", list)
    monkeypatch.setitem(sys.modules, "robo_rl.bench.short", sys.modules["robo_rl.bench.count"])
    monkeypatch.setitem(tables.TABLES, "short", tables.TABLES["count"])
    assert main(["bench", "all", "--out", "out"]) == 0
    assert [path.name for path in Path("out").iterdir()] == ["short.json"]
    said = capsys.readouterr().err
    assert "left out, because they take more than half an hour: count; --long" in said
    assert "left out, because there is no NVIDIA GPU here: card" in said
    assert main(["bench", "all", "--out", "out", "--long"]) == 0
    assert {path.name for path in Path("out").iterdir()} == {"short.json", "count.json"}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_holds_its_seed_among_its_settings(name: str) -> None:
    assert {"seed", "first_seed"} & {field.name for field in fields(find_benchmark(name).Settings)}


@pytest.mark.parametrize("name", [*BENCHMARKS, *OTHERS])
def test_the_code_that_a_table_measures_exists_and_holds_what_the_benchmark_imports(name: str) -> None:
    paths = [path.removeprefix(":!") for path in measured_code(name)[:-1]]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    if name in OTHERS:
        return
    listed = subprocess.run(
        ["git", "ls-files", "--", *measured_code(name)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("outside git")
    files = modules(ROOT)
    known = {module for module, path in files.items() if str(path.relative_to(ROOT)) in listed.stdout.splitlines()}
    assert f"robo_rl.bench.{name}" in known
    used = imports(files[f"robo_rl.bench.{name}"].read_text(encoding="utf-8"))
    measured = {m for m in files if any(is_below(u, (m,)) for u in used) and not is_below(m, NOT_MEASURED)}
    assert {module for module in measured if module.count(".")} - known == set()


NOT_MEASURED = (
    "robo_rl.bench",
    "robo_rl.cli",
    "robo_rl.output",
    "robo_rl.workflows",
    "robo_rl.training",
    "policies.errors",
    "deploy.errors",
)
"""What benchmarks use to measure with: their numbers do not depend on it."""


def test_the_seed_of_benchmarks_is_out_of_the_reach_of_trainings() -> None:
    from robo_rl.evaluation.flying import HELD_OUT_SEED
    from robo_rl.evaluation.walking import DEVELOPMENT_SEED
    from robo_rl.training.config import MAX_SEED

    assert registry.BENCHMARK_SEED > MAX_SEED
    assert registry.BENCHMARK_SEED not in (HELD_OUT_SEED, DEVELOPMENT_SEED)
