from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from policies.errors import UserError
from robo_rl.cli import sweep as command
from robo_rl.cli.train import prepare
from robo_rl.training import record
from robo_rl.workflows import processes
from robo_rl.workflows import sweep as workflow
from robo_rl.workflows.sweep import Point, Sweep, ranked, train_all
from tests.robo_rl.evaluation.test_comparison import write_run

GRID: dict[str, Any] = {"task": "crazyflie-hover", "vary": {"a": [1, 2], "b": ["x", "y"]}, "seeds": (0, 1)}
TPE: dict[str, Any] = {
    "task": "crazyflie-hover", "vary": {"rate": {"low": 0.001, "high": 1.0, "log": True}, "widths": [[4], [8, 8]]},
    "seeds": (0,), "search": "tpe", "trials": 12,
}  # fmt: skip


class Trainings:
    """Stands in for `robo-rl train`: writes the record of a run whose return `value` gives from its arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, value: Any = lambda words: 1.0) -> None:
        self.calls: list[list[str]] = []
        self.codes: dict[int, int] = {}
        self._value = value
        monkeypatch.setattr(workflow, "call_stoppable", self)

    def __call__(self, words: Sequence[str]) -> int:
        code = self.codes.get(len(self.calls), 0)
        self.calls.append(list(words))
        folder = Path(words[words.index("--run-dir") + 1])
        if code:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.yaml").write_text("begun")
        else:
            folder.rename(folder.with_name("gone")) if folder.exists() else None
            write_run(folder, int(words[words.index("--seed") + 1]), self._value(words))
        return code


CHILD = """
import signal, sys
from pathlib import Path
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
Path(sys.argv[1]).touch()
signal.sigwait([signal.SIGINT])
again = signal.sigtimedwait([signal.SIGINT], 0.3)
Path(sys.argv[1]).write_text("once" if again is None else "twice")
"""


@pytest.mark.e2e
def test_a_signal_reaches_the_training_once_and_the_sweep_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready"
    monkeypatch.setattr(processes, "command", lambda arguments: [sys.executable, "-c", CHILD, *arguments])

    def interrupt() -> None:
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert processes.call_stoppable([str(ready)]) == 130
    assert ready.read_text() == "once"


def words(settings: dict[str, Any], seed: int) -> list[str]:
    return ["--seed", str(seed), *(f"{name}={json.dumps(value)}" for name, value in settings.items())]


def test_a_grid_trains_every_seed_of_every_combination_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings(monkeypatch, lambda words: 5.0 if "a=2" in words and 'b="x"' in words else 1.0)
    points, code = train_all(tmp_path, Sweep(**GRID), words)
    assert (code, len(points), len(trainings.calls)) == (0, 4, 8)
    best = ranked(points, "maximize")[0]
    assert best.settings == {"a": 2, "b": "x"}
    assert best.scores.keys() == {0, 1}
    assert ranked(points, "minimize")[-1] is best
    assert record.read(Path(best.runs[1])).seed == 1


def test_an_interrupted_sweep_goes_on_and_finished_runs_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(monkeypatch)
    trainings.codes = {3: 130}
    points, code = train_all(tmp_path, Sweep(**GRID), words)
    assert (code, len(points), len(trainings.calls)) == (130, 1, 4)
    points, code = train_all(tmp_path, Sweep(**GRID), words)
    assert (code, len(points), len(trainings.calls)) == (0, 4, 9)
    assert "--resume" in trainings.calls[4]
    assert not any("--resume" in call for call in trainings.calls[5:])


def test_a_training_that_fails_has_no_score_and_the_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(monkeypatch)
    trainings.codes = {0: 1, 2: 1, 3: 1}
    sweep = Sweep(**GRID)
    points, code = train_all(tmp_path, sweep, words)
    assert code == 0
    assert [list(point.scores.values()).count(None) for point in points] == [1, 2, 0, 0]
    assert ranked(points, "maximize")[-1] is points[1]
    workflow.write_results(tmp_path, sweep, points)
    rows = json.loads((tmp_path / "results.json").read_text())["points"]
    assert rows[-1]["mean"]["value"] is None
    assert rows[-1]["seeds"] == {"0": None, "1": None}


def test_a_guided_search_finds_what_is_good_and_goes_on_as_if_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(words: Sequence[str]) -> float:
        rate = next(float(word.removeprefix("rate=")) for word in words if word.startswith("rate="))
        return -abs(rate - 0.1) + ("widths=[8, 8]" in words)

    trainings = Trainings(monkeypatch, value)
    whole, _ = train_all(tmp_path / "whole", Sweep(**TPE), words)
    assert ranked(whole, "maximize")[0].settings["widths"] == [8, 8]
    assert all(0.001 <= point.settings["rate"] <= 1.0 for point in whole)
    assert len({point.settings["rate"] for point in whole}) == 12
    trainings.codes = {12 + 7: 143}
    stopped, code = train_all(tmp_path / "parts", Sweep(**TPE), words)
    assert (code, len(stopped)) == (143, 7)
    parts, _ = train_all(tmp_path / "parts", Sweep(**TPE), words)
    assert [point.settings for point in parts] == [point.settings for point in whole]


def test_random_points_do_not_depend_on_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = Sweep(**{**TPE, "search": "random", "trials": 3})
    found = []
    for name, level in (("a", 1.0), ("b", 7.0)):
        Trainings(monkeypatch, lambda words, level=level: level)
        found.append([point.settings for point in train_all(tmp_path / name, sweep, words)[0]])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("task: [", "is not YAML"),
        ("- 1", "must hold fields such as"),
        ("task: hover\nvary: {a: [1]}\nmetrics: x", "unknown field metrics"),
        ("vary: {a: [1]}", "the field task is missing"),
        ("task: hover\nvary: {}", "vary must name a flag"),
        ("task: hover\nvary: {a: 1}", r"vary.a must be a list of values for search grid, got 1"),
        ("task: hover\nvary: {a: {low: 1, high: 2}}", "must be a list of values for search grid"),
        ("task: hover\nsearch: tpe\nvary: {a: {low: 2, high: 1}}", "numbers low < high"),
        ("task: hover\nsearch: tpe\nvary: {a: {low: 0, high: 1, log: true}}", "low must be above 0"),
        ("task: hover\nvary: {seed: [1]}", "seed is set by the sweep itself"),
        ("task: hover\nvary: {a: [1]}\nseeds: [1, 1]", "seeds must be one or more different numbers"),
        ("task: hover\nvary: {a: [1]}\nsearch: best", "search must be one of grid, random, tpe"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(UserError, match=reason) as caught:
        workflow.read(tmp_path / "sweep.yaml")
    assert "\n" not in str(caught.value)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    workflow.enter(tmp_path / "out", Sweep(**GRID))
    workflow.enter(tmp_path / "out", Sweep(**GRID))
    with pytest.raises(UserError, match="holds a sweep with other settings"):
        workflow.enter(tmp_path / "out", Sweep(**{**GRID, "seeds": (5,)}))
    with pytest.raises(UserError, match="is not empty and holds no sweep"):
        workflow.enter(tmp_path, Sweep(**GRID))


SMALL = {
    "algorithm": "ppo", "num-worlds": 8, "rollout-steps": 4, "epochs": 1, "minibatches": 2, "iterations": 2,
    "actor_hidden": [4], "critic-hidden": [4],
}  # fmt: skip


def small(**changes: Any) -> Sweep:
    return Sweep("crazyflie-hover", {"learning-rate": [0.001, 0.002]}, **{"settings": SMALL, "metric": "kl", **changes})


@pytest.mark.parametrize(
    ("sweep", "reason"),
    [
        (small(settings={**SMALL, "learning-rat": 1}), "learning-rat"),
        (Sweep("crazyflie-hover", {"learning-rate": [0.001, -1.0]}, SMALL), "learning_rate must be"),
        (Sweep("crazyflie-hover", {"rewards.nothing": [1.0]}, SMALL), "rewards.nothing"),
        (Sweep("crazyflie-hove", {"learning-rate": [1.0]}, SMALL), "crazyflie-hove"),
        (small(metric="episode_retrun"), "no metric 'episode_retrun' with these settings; did you mean episode_return"),
    ],
)
def test_what_can_not_be_trained_is_refused_before_anything_is(sweep: Sweep, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        command.check(sweep)
    assert "\n" not in str(caught.value)


def test_metrics_of_the_first_iteration_and_of_later_ones_are_known() -> None:
    command.check(small())
    command.check(small(metric="episode_length"))


def test_flags_become_arguments_of_train() -> None:
    sweep = small(settings={**SMALL, "randomized": True})
    words = command._words(sweep, {"learning-rate": 0.002, "randomized": False}, 7)
    configuration, _ = prepare(words)
    settings: Any = configuration.algorithm
    assert (settings.learning_rate, settings.randomized, settings.actor_hidden) == (0.002, False, (4,))
    assert (configuration.seed, configuration.label) == (7, "learning-rate 0.002, randomized False")
    assert "--no-randomized" not in command._words(sweep, {"learning-rate": 0.002}, 7)


@pytest.mark.slow
def test_a_sweep_from_the_command_line_leaves_runs_table_and_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "rates.yaml", tmp_path / "out"
    settings = json.dumps({**SMALL, "algorithm": "ppo"})
    file.write_text(
        f"task: crazyflie-hover\nvary: {{learning-rate: [0.001, 0.002]}}\nsettings: {settings}\nseeds: 1\nmetric: kl\n"
    )
    assert command.run([str(file), "--out", str(out)]) == 0
    assert "learning-rate" in capsys.readouterr().out
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads((out / "results.json").read_text())["points"]
    assert len(rows) == 2
    assert record.read(Path(rows[0]["runs"][0])).label == f"learning-rate {rows[0]['settings']['learning-rate']}"


def test_a_point_without_scores_is_last() -> None:
    points = [Point({"a": 1}, {0: None}, []), Point({"a": 2}, {0: 3.0}, []), Point({"a": 3}, {0: 4.0}, [])]
    assert [point.settings["a"] for point in ranked(points, "minimize")] == [2, 3, 1]
