"""The tables of the docs: generated from result files, and the committed ones are up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import UserError
from robo_rl.bench import legged_tables, tables
from robo_rl.bench.mcu_table import mcu
from tests.table_results import ORIGIN, RESULTS

ROOT = Path(__file__).parent.parent


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


def test_a_chips_flights_stand_beside_onnxruntimes() -> None:
    text = tables.TABLES["chip"](RESULTS["chip"])
    assert "| crazyflie-hover | onnxruntime | 20 of 20 | 19 of 20 | 0.0312 | 0.0625 |" in text
    assert "| crazyflie-hover | emulated chip | 0 of 20 | 0 of 20 | none | none |" in text
    assert "7.5e-07 of their range" in text


def test_any_shows_pilots_vehicles_and_costs() -> None:
    text = tables.TABLES["any"](RESULTS["any"])
    assert "| student | 96.1 % | 90.0 % | 0.0212 | 95.0 % | 0.0700 |" in text
    assert "| 1.25 | 2.5 | 320 | 93.0 % | 96.0 % | 95.0 % |" in text
    assert "survives 96.9 % of what their own teachers do" in text
    assert "8,123 (`c`), 6,001 (`asm`) instructions" in text and "took 11 minutes" in text


def test_the_committed_documents_are_up_to_date() -> None:
    for document in tables.DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        rendered = tables.render(text, ROOT / tables.RESULTS)
        if tables.CHANGED[None] in rendered:
            # A shallow clone, or no git at all: nothing says whether the code has changed.
            rendered, text = (
                re.sub("|".join(map(re.escape, filter(None, [*tables.CHANGED.values(), tables.OLDER]))), "", t)
                for t in (rendered, text)
            )
        assert rendered == text, "run `make tables`"


def test_every_table_stands_in_the_benchmark_document() -> None:
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert {match["name"] for match in tables.REGION.finditer(text)} == set(tables.TABLES)


def test_own_shows_each_robot_and_why_one_was_not_run(results: Path) -> None:
    text = tables.section("own", results)
    assert "| dog | gains | 61 | 290 | 6.4 | 0.151 | 0.310 | 0.120 | 0.4 % |" in text
    assert "| menagerie:dog |  | not run |" in text and "menagerie:dog was not run: no network." in text


def test_hover_shows_each_seed_the_median_and_the_worst(results: Path) -> None:
    text = tables.section("hover", results)
    assert "| 8 | 30.0 | 93.0 % | 88.5 % | 94.4 % |" in text
    assert "| **median** | 14.0 | 95.0 % | 91.0 % | 97.0 % |" in text
    assert "| **worst** | 30.0 | 93.0 % | 88.5 % | 94.4 % |" in text
    assert "are 93.8 % of the starts" in text
    assert "imports for 2.3 s, and the very first one compiles kernels for 11.5 s" in text


def test_track_shows_lost_flights_and_where_the_learned_controller_is_beaten(results: Path) -> None:
    text = tables.section("track", results)
    assert "| crazyflie, 5.5 s | 0.051 | 0.043 (50.0 % survive) | 0.060 |" in text
    assert "| crazyflie-2025, 3.5 s | 0.070 | none survived (0.0 %) | 0.060 |" in text
    assert "`learned` is the best in 1 of 2 rows, except: crazyflie-2025, 3.5 s." in text


def test_track_shows_what_was_not_run() -> None:
    rows = [row for row in RESULTS["track"]["rows"] if (row["controller"], row["period"]) != ("PID", 3.5)]
    assert "| crazyflie-2025, 3.5 s | 0.070 | not run | 0.060 |" in tables.TABLES["track"]({"rows": rows})


def test_track_says_so_when_nothing_is_better() -> None:
    rows = [row for row in RESULTS["track"]["rows"] if row["period"] == 5.5]
    assert "`learned` is the best in 1 of 1 rows, without exception." in tables.TABLES["track"]({"rows": rows})


def test_rotor_names_worlds_and_cores(results: Path) -> None:
    text = tables.section("rotor", results)
    assert "| 4096 worlds |" in text
    assert "| RK4 steps and their adjoint, one core | 3.5 |" in text
    assert "| full environment steps, 2 cores | 2.6 |" in text


def test_gpu_names_the_card_and_the_cpu_beside_it(results: Path) -> None:
    text = tables.section("gpu", results)
    assert "| RK4 steps | 64 | CPU | 7.2 |" in text
    assert "| full environment steps | 65,536 | Some GPU | 40.8 |" in text
    assert "37.4, 36.0 s on the GPU, with 98.8 %, 97.0 % success at 0.1 m (seeds 3, 4)" in text
    assert "27.7 s on the CPU beside it (seed 3, 97.9 %)" in text
    assert "8.0e-03 after 100, 3.0e-06 in the gradients" in text


def test_loop_orders_the_rates_by_number(results: Path) -> None:
    text = tables.section("loop", results)
    assert text.index("| 100 Hz | 1.20 | 4.00 | 0.30 | 0 | 0.00 |") < text.index("| 200 Hz |")
    assert "| 2 | 1.25 |" in text


def test_loop_shows_a_flight_that_never_began() -> None:
    lost = dict.fromkeys(("age_p50_ms", "age_p99_ms", "jitter_p99_ms"))
    report = {**lost, "overruns": 0, "longest_overrun_ms": 0.0, "longest_machine_pause_ms": 1.0}
    assert "| 100 Hz | none | none | none | 0 | 0.00 |" in tables.TABLES["loop"]({"rates": {"100": report}})


def test_env_orders_the_numbers_of_worlds(results: Path) -> None:
    text = tables.section("env", results)
    assert text.index("| 1024 | 20,000 | 22,000 | 90.9 % | 611 |") < text.index("| 4096 | 21,000 |")


def test_walk_shows_a_seed_that_failed_as_the_worst(results: Path) -> None:
    text = tables.section("walk", results)
    assert "| 1 | not reached | not reached | 610 | 0.300 | 0.400 | 0.200 | 0.500 | 0.580 | 25.0 % |" in text
    assert "| **median** | 212 | 300 | 600 | 0.150 | 0.200 | 0.080 | 0.300 | 0.580 | 0.4 % |" in text
    assert "| **worst** | not reached | not reached | 610 | 0.300 | 0.400 | 0.200 | 0.500 | 0.580 | 25.0 % |" in text
    assert "| 0 | 0.271 | 0.850 | 0.052 | 0.950 | 0.040 | none |" in text


def test_walk_says_which_figures_an_older_result_lacks() -> None:
    older = ("seed", "seconds_to_0.20", "train_seconds", "final_velocity_error", "final_fall_rate")
    seeds = [{name: seed[name] for name in older} for seed in RESULTS["walk"]["seeds"]]
    text = tables.TABLES["walk"]({"seeds": seeds})
    missing = " | ".join(["not measured"] * 4)
    assert f"| 0 | 212 | not measured | 600 | 0.141 | {missing} | 0.4 % |" in text
    assert f"| **worst** | not reached | not measured | 610 | 0.300 | {missing} | 25.0 % |" in text
    assert f"| 2 | {missing} | not measured | not measured |" in text


def test_ppo_says_how_much_sooner_the_same_return_is_reached(results: Path) -> None:
    text = tables.section("ppo", results)
    assert "| rsl_rl, mirror images | ours | 0 | 12,000 | 190 | 30.0 | 2 |" in text
    assert (
        'With the settings "ours" ours reaches return 28.5 in 0.53 times the time of rsl_rl, at 1.26 times the samples '
        "a second, with a return of 31.2 against 30.0 in the end (medians)."
    ) in text
    assert '"mjlab"' not in text, "not measured"
    rows = RESULTS["ppo"]["rows"]
    never = legged_tables.ppo({**RESULTS["ppo"], "rows": [{**rows[0], "seconds_to_return": None}, *rows[1:]]})
    assert 'With the settings "ours" ours does not reach return 28.5, at 1.26 times' in never
    elsewhere = legged_tables.ppo({**RESULTS["ppo"], "rows": [{**rows[0], "machine": "another"}, *rows[1:]]})
    assert "are from different machines, so their ratios say nothing" in elsewhere


def test_generated_c_says_what_is_measured_and_what_is_modelled() -> None:
    text = mcu(RESULTS["mcu"])
    assert "| 64-64 tanh | `c` | 51,899 | 3.79 | 354 to 438 | 58,668 | 3,356 | 668 | 3.8e-07 | 6.8 |" in text
    assert "Times at 168 MHz are modelled: one cycle each." in text
    assert "onnx2c: not measured: no package gives it" in text


def test_rough_has_a_row_for_each_student_and_kind_and_says_what_the_bars_are(results: Path) -> None:
    text = tables.section("rough", results)
    assert "| scan | stairs up | 60.0 % | 30.0 % | 2: 0.075 m |" in text
    assert "| scan | slope up | 80.0 % | 20.0 % | 7: 0.3 rad |" in text
    assert "The teacher trained for 30 minutes. The scan student trained for 10 minutes." in text
    assert "stairs up 0.1 m 30.0 % of 80.0 %, gaps 0.1 m not measured of 60.0 %." in text


def test_sim2sim_compares_the_engines_and_says_whether_the_bar_holds(results: Path) -> None:
    text = tables.section("sim2sim", results)
    assert "| measure | mujoco | pybullet | ratio |" in text
    assert "| velocity error (m/s) | 0.150 | 0.300 | 2.000 |" in text
    assert "| 0.150 | none | 2.000 |" in text
    assert "at most 5 % may fall: this holds." in text
    assert "at most 1.5 times that in MuJoCo: this does not hold." in text


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_each_table_names_its_origin(name: str, results: Path) -> None:
    origin = "Measured by `robo-rl bench` on Some CPU, 2 cores, 16 GB; python 3.11.7, torch 2.13.0"
    text = tables.section(name, results)
    assert origin in text
    assert "commit 0123456789ab. This checkout lacks that commit" in text


def test_a_table_names_machines_seed_uncommitted_changes_and_whether_its_code_has_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = {**RESULTS["hover"], **ORIGIN, "git_commit": "0123456789abcdef" * 2 + "01234567-dirty"}
    other = {**ORIGIN["machine"], "processor": "Another CPU"}  # type: ignore[dict-item]
    result |= {"evaluation_seed": 17, "seeds": [{"machine": ORIGIN["machine"]}, {"machine": other}]}
    asked = []

    def changed(commit: str, paths: tuple[str, ...]) -> bool:
        asked.append((commit, paths))
        return len(asked) == 1

    monkeypatch.setattr(tables, "changed_since", changed)
    text = tables.provenance("hover", result)
    assert "on Some CPU, 2 cores, 16 GB; and on Another CPU, 2 cores, 16 GB; python" in text
    assert "evaluation seed 17, commit 0123456789ab-dirty. **What it measures has changed since.**" in text
    assert tables.provenance("hover", result).endswith("commit 0123456789ab-dirty.")
    assert "sim" in asked[0][1] and "robo_rl/bench/hover*.py" in asked[0][1]
    assert tables.provenance("hover", {**result, "git_commit": None}).endswith("outside git.")


def test_the_summary_shows_what_is_measured_and_leaves_out_what_is_not(results: Path) -> None:
    text = tables.section("summary", results)
    assert "| 14 s | [hover](docs/benchmarks.md#hover) |" in text and "| not reached | [walk]" in text
    assert "| 0 of 20 | [chip]" in text
    (results / "chip.json").unlink()
    assert "[chip]" not in tables.section("summary", results)


def test_the_links_of_the_summary_lead_to_headings() -> None:
    text = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("## ")
    }
    assert {anchor for _, _, anchor, _ in tables.SUMMARY} <= headings


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_a_table_without_a_result_says_how_to_measure_it(name: str, tmp_path: Path) -> None:
    command = "sim2sim BUNDLE" if name == "sim2sim" else f"bench {name}"
    assert f"`robo-rl {command} --json docs/results/{name}.json`" in tables.section(name, tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"seeds": [{"seed": 1}]}', '{"seeds": []}', '{"seeds": 3}'])
def test_a_broken_result_is_refused_with_its_name(content: str, results: Path) -> None:
    (results / "hover.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"hover\.json is not a result of `robo-rl bench hover`"):
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
