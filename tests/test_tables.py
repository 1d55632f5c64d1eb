"""The tables of the docs: generated from result files, and the committed ones are up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import UserError
from robo_rl.bench import tables

ROOT = Path(__file__).parent.parent
ORIGIN = {
    "machine": {"processor": "Some CPU", "cores": 2, "memory_gb": 16.0, "system": "Linux", "gpus": []},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "command": "robo-rl bench",
    "git_commit": "0123456789abcdef",
}
RESULTS: dict[str, dict[str, Any]] = {
    "hover": {
        "seeds": [
            {"seed": 7, "train_seconds": 12.0, "survival": 0.95, "success_at_0.1": 0.91},
            {"seed": 8, "train_seconds": 30.0, "survival": 0.93, "success_at_0.1": 0.885},
            {"seed": 9, "train_seconds": 14.0, "survival": 0.97, "success_at_0.1": 0.92},
        ]
    },
    "track": {
        "rows": [
            {"controller": "learned", "robot": "crazyflie", "period": 5.5, "rmse": 0.0512, "survival": 1.0},
            {"controller": "pid", "robot": "crazyflie", "period": 5.5, "rmse": 0.0731, "survival": 0.5},
            {"controller": "pid", "robot": "crazyflie-2025", "period": 5.5, "rmse": None, "survival": 0.0},
        ]
    },
    "rotor": {"rk4_steps_per_second_1core": 9.04e6, "env_steps_per_second": 2.61e6},
    "loop": {
        "rates": {
            "200": {"age_p50_ms": 1.5, "age_p99_ms": 6.0, "jitter_p99_ms": 0.4, "overruns": 2},
            "100": {"age_p50_ms": 1.2, "age_p99_ms": 4.0, "jitter_p99_ms": 0.3, "overruns": 0},
        }
    },
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A project folder in `tmp_path` with documents and one result file a table; the folder of the results."""
    folder = tmp_path / tables.RESULTS
    folder.mkdir(parents=True)
    for name, result in RESULTS.items():
        (folder / f"{name}.json").write_text(json.dumps({**result, **ORIGIN}), encoding="utf-8")
    regions = "\n".join(f"<!-- table: {name} -->\n<!-- end of table -->\n" for name in tables.TABLES)
    for document in tables.DOCUMENTS:
        (tmp_path / document).write_text(f"before\n{regions}after\n", encoding="utf-8")
    return folder


def test_the_committed_documents_are_up_to_date() -> None:
    for document in tables.DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        assert tables.render(text, ROOT / tables.RESULTS) == text, "run `make tables`"


def test_every_table_stands_in_the_benchmark_document() -> None:
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert {match["name"] for match in tables.REGION.finditer(text)} == set(tables.TABLES)


def test_hover_shows_each_seed_the_median_and_the_worst(results: Path) -> None:
    text = tables.section("hover", results)
    assert "| 8 | 30.0 | 93.0 % | 88.5 % |" in text
    assert "| **median** | 14.0 | 95.0 % | 91.0 % |" in text
    assert "| **worst** | 30.0 | 93.0 % | 88.5 % |" in text


def test_track_shows_a_missing_run_and_lost_flights(results: Path) -> None:
    text = tables.section("track", results)
    assert "| crazyflie, 5.5 s | 0.051 | 0.073 (50.0 % survive) |" in text
    assert "| crazyflie-2025, 5.5 s | not run | none survived (0.0 %) |" in text


def test_loop_orders_the_rates_by_number(results: Path) -> None:
    text = tables.section("loop", results)
    assert text.index("| 100 Hz | 1.20 | 4.00 | 0.30 | 0 |") < text.index("| 200 Hz |")


def test_loop_shows_a_flight_that_never_began() -> None:
    lost = {"age_p50_ms": None, "age_p99_ms": None, "jitter_p99_ms": None, "overruns": 0}
    assert "| 100 Hz | none | none | none | 0 |" in tables.loop({"rates": {"100": lost}})


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_each_table_names_its_origin(name: str, results: Path) -> None:
    origin = (
        "Measured by `robo-rl bench` on Some CPU, 2 cores, 16 GB; python 3.11.7, torch 2.13.0, commit 0123456789ab."
    )
    assert origin in tables.section(name, results)


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_a_table_without_a_result_says_how_to_measure_it(name: str, tmp_path: Path) -> None:
    assert f"robo-rl bench {name} --json" in tables.section(name, tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"seeds": [{"seed": 1}]}', '{"seeds": []}', '{"seeds": 3}'])
def test_a_broken_result_is_refused_with_its_name(content: str, results: Path) -> None:
    (results / "hover.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"hover\.json is no result of `robo-rl bench hover`"):
        tables.section("hover", results)


def test_an_unknown_table_is_refused(results: Path) -> None:
    with pytest.raises(UserError, match="no table 'hoover'"):
        tables.render("<!-- table: hoover -->\n<!-- end of table -->", results)


def test_check_tells_and_writes_nothing_then_the_run_mends_it(results: Path, tmp_path: Path) -> None:
    before = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert tables.main(["--check"], tmp_path) == 1
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == before
    assert tables.main([], tmp_path) == 0
    assert tables.main(["--check"], tmp_path) == 0
    written = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "| **median** |" in written


def test_a_bad_argument_or_file_exits_2(results: Path, tmp_path: Path) -> None:
    assert tables.main(["--chek"], tmp_path) == 2
    (results / "loop.json").write_text("{}", encoding="utf-8")
    assert tables.main([], tmp_path) == 2


@given(outside=st.lists(st.text(st.characters(exclude_characters="<>", codec="utf-8")), min_size=2))
def test_rendering_twice_changes_nothing_more_and_keeps_the_text_outside(outside: list[str]) -> None:
    document = "<!-- table: rotor -->\nold\n<!-- end of table -->".join(outside)
    once = tables.render(document, Path("nowhere"))
    assert tables.render(once, Path("nowhere")) == once
    assert tables.REGION.split(once)[:: tables.REGION.groups + 1] == outside
