from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.errors import UserError
from robo_rl.cli import compare as command
from robo_rl.evaluation.comparison import METRIC, compare_runs, curves, group_of
from robo_rl.evaluation.statistics import Design
from robo_rl.training import record

ONE_LOOK = Design(interims=1)
ITERATIONS = 40


def write_run(folder: Path, seed: int, level: float, **changes: Any) -> Path:
    """A run's record whose return rises to `level`, with noise from the seed."""
    noise = np.random.default_rng(seed).normal(0.0, 0.01, ITERATIONS)
    returns = level * np.linspace(0.0, 1.0, ITERATIONS) + noise
    folder.mkdir(parents=True)
    content = {
        "version": 1, "task": "point", "task_digest": "d", "algorithm": "ppo", "label": "", "seed": seed,
        "finished": True, "iterations": ITERATIONS, "total_iterations": ITERATIONS, "steps": 64 * ITERATIONS,
        "curve": [
            {"iteration": n + 1, "steps": 64 * (n + 1), "seconds": float(n), METRIC: value, "empty": None}
            for n, value in enumerate(returns)
        ],
        **changes,
    }  # fmt: skip
    (folder / record.FILE).write_text(json.dumps(content))
    return folder


def two_algorithms(root: Path, seeds: int = 5, **changes: Any) -> list[Path]:
    return [
        write_run(root / f"{name}-{seed}", seed, level, **{"algorithm": name, **changes})
        for name, level in (("sac", 1.0), ("ppo", 5.0))
        for seed in reversed(range(seeds))
    ]


def test_the_better_group_comes_first_with_its_verdict_interval_and_seeds(tmp_path: Path) -> None:
    compared = compare_runs(two_algorithms(tmp_path), METRIC, "algorithm", ONE_LOOK)
    best, other = compared.groups
    assert (best.name, other.name) == ("ppo", "sac")
    assert [run.seed for run in best.runs] == [0, 1, 2, 3, 4]
    # The mean of the last tenth of a ramp to 5 in 40 iterations.
    assert best.mean.value == pytest.approx(5.0 * (1.0 - 1.5 / 39.0), abs=0.02)
    assert best.mean.low <= best.mean.value <= best.mean.high
    (pair,) = compared.test.pairs
    assert (pair.first, pair.verdict, pair.second, compared.test.seeds) == ("ppo", "larger", "sac", 5)
    assert compared.notes == ()


def test_a_label_or_else_the_folder_without_its_seed_names_a_group(tmp_path: Path) -> None:
    for folder, label, name in (
        ("go1-ppo-3", "", "go1-ppo"), ("seed3", "", ""), ("narrow/seed-3", "wide", "wide"), ("a_3", "", "a"),
        ("walk13", "", "walk1"), ("plain", "", "plain"),
    ):  # fmt: skip
        run = record.read(write_run(tmp_path / folder, 3, 1.0, label=label))
        assert group_of(run, "label") == name


def test_what_else_differs_is_noted(tmp_path: Path) -> None:
    runs = two_algorithms(tmp_path)
    content = json.loads((runs[0] / record.FILE).read_text())
    (runs[0] / record.FILE).write_text(json.dumps({**content, "task_digest": "other", "steps": 99}))
    compared = compare_runs(runs, METRIC, "algorithm", ONE_LOOK)
    assert [note.partition(":")[0] for note in compared.notes] == [
        "the runs' tasks differ in settings of their terms",
        "the groups trained for different numbers of steps",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "other"}, r"trained other, .* point: runs of different tasks"),
        ({"finished": False, "iterations": 7}, "has done 7 of 40 iterations; continue it with --resume"),
        ({"seed": 1}, "have the same seed"),
        ({"algorithm": "third"}, "AdaStop needs 5 seeds of each group, and third has 1"),
    ],
)
def test_runs_that_can_not_be_compared_are_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    runs = two_algorithms(tmp_path)
    content = json.loads((runs[-1] / record.FILE).read_text())
    (runs[-1] / record.FILE).write_text(json.dumps({**content, **change}))
    with pytest.raises(UserError, match=reason) as caught:
        compare_runs(runs, METRIC, "algorithm", ONE_LOOK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("episode_retrun", "has no metric 'episode_retrun'; did you mean episode_return"),
        ("speed of light", "metrics: iteration, steps, seconds, episode_return, empty"),
        ("empty", "has no empty in the last 10 %"),
    ],
)
def test_a_metric_that_does_not_exist_is_refused(tmp_path: Path, metric: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        compare_runs(two_algorithms(tmp_path), metric, "algorithm", ONE_LOOK)


def test_one_group_is_no_comparison_and_tasks_can_be_groups(tmp_path: Path) -> None:
    runs = two_algorithms(tmp_path)
    with pytest.raises(UserError, match=r"all runs have the algorithm 'ppo'; .* use --by label"):
        compare_runs(runs[5:], METRIC, "algorithm", ONE_LOOK)
    others = two_algorithms(tmp_path / "other", task="other")
    compared = compare_runs([*runs[:5], *others[5:]], METRIC, "task", ONE_LOOK)
    assert {group.name for group in compared.groups} == {"point", "other"}


def test_the_command_prints_verdicts_and_writes_plot_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, plot, result = two_algorithms(tmp_path), tmp_path / "plot.png", tmp_path / "result.json"
    names = [str(run) for run in runs]
    assert command.run([*names, "--plot", str(plot), "--json", str(result)]) == 0
    shown = capsys.readouterr().out
    assert "larger" in shown
    assert "stopped at 5 seeds of each group" in shown
    assert plot.read_bytes().startswith(b"\x89PNG")
    document = json.loads(result.read_text())
    assert document["adastop"]["seeds"] == 5
    assert document["groups"]["ppo"]["seeds"].keys() == {"0", "1", "2", "3", "4"}
    assert list(document["groups"]) == ["ppo", "sac"]


def test_an_undecided_pair_says_how_many_seeds_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write_run(tmp_path / f"{name}-{s}", s, 1.0, algorithm=name) for name in ("a", "b") for s in range(6)]
    assert command.run([*map(str, runs), "--plot", str(tmp_path / "plot.png")]) == 0
    assert "train a and b with 10 seeds" in capsys.readouterr().out.replace("b and a", "a and b")


def test_a_curve_starts_where_its_metric_does(tmp_path: Path) -> None:
    compared = compare_runs(two_algorithms(tmp_path), METRIC, "algorithm", ONE_LOOK)
    points = curves(compared.groups, METRIC)["ppo"]
    assert len(points) == 5
    assert [x for x, _ in points[0]] == [64.0 * n for n in range(1, ITERATIONS + 1)]
    assert curves(compared.groups, "empty")["ppo"][0] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["a"], "two runs or more"), (["a", "b", "--tail", "0"], "--tail must be"), (["a", "b"], "a is no folder")],
)
def test_wrong_arguments_are_refused(arguments: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        command.run(arguments)
