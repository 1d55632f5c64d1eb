"""Contexts that are chosen for training: the choice itself, and a sequence of trainings that is interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robo_rl.cli.main import main
from robo_rl.workflows import contexts as workflow
from robo_rl.workflows.next_context import gap_slope, next_context, predicted


def test_a_process_passes_through_what_is_known_and_is_unsure_elsewhere() -> None:
    places = np.linspace(0.0, 1.0, 21)
    known = places[[2, 10, 16]]
    mean, deviation = predicted(known, np.sin(3.0 * known), places)
    assert np.abs(mean[[2, 10, 16]] - np.sin(3.0 * known)).max() < 0.02
    assert np.abs(mean[2:17] - np.sin(3.0 * places[2:17])).max() < 0.15
    assert deviation[[2, 10, 16]].max() < 0.2 * deviation[[6, 13, 20]].min()


def test_the_slope_of_the_gap_is_found() -> None:
    places = np.linspace(0.0, 1.0, 11)
    scores = 5.0 - 3.0 * np.abs(places[[5, 2]][:, None] - places)
    assert gap_slope(places, [5, 2], scores) == pytest.approx(3.0)
    assert gap_slope(places, [5], np.zeros((1, 11))) == 0.0


def transferred(good: Any, theta: float, places: Any, index: int) -> Any:
    return good[index] - theta * np.abs(places[index] - places)


def chosen(good: Any, theta: float, places: Any, count: int) -> tuple[list[int], Any]:
    trained: list[int] = []
    scores = np.empty((0, len(places)))
    for _ in range(count):
        trained.append(next_context(places, trained, scores))
        scores = np.vstack((scores, transferred(good, theta, places, trained[-1])))
    return trained, scores


def test_equally_good_contexts_are_covered_evenly() -> None:
    places = np.linspace(2.0, 6.0, 21)
    trained, scores = chosen(np.ones(21), 1.0, places, 3)
    assert trained[0] == 10
    assert sorted(trained)[0] <= 5 and sorted(trained)[2] >= 15
    assert scores.max(0).mean() > 0.3
    with pytest.raises(ValueError, match="all 2 contexts"):
        next_context(np.array([0.0, 1.0]), [0, 1], np.zeros((2, 2)))


@pytest.mark.parametrize("theta", [0.5, 2.0])
def test_choices_come_near_to_the_best_and_beat_random_ones(theta: float) -> None:
    places = np.linspace(0.0, 1.0, 21)
    good = 2.0 + np.sin(5.0 * places) - places
    every = np.stack([transferred(good, theta, places, index) for index in range(21)])
    trained, scores = chosen(good, theta, places, 4)
    assert len(set(trained)) == 4
    random = np.random.default_rng(0)
    others = [every[random.choice(21, 4, replace=False)].max(0).mean() for _ in range(500)]
    achieved = float(scores.max(0).mean())
    assert achieved > np.mean(others) + 0.05
    assert achieved > every.max(0).mean() - 0.1


def test_trainings_are_chosen_evaluated_and_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "contexts", "crazyflie-hover", "--setting", "events.disturbance.force", "--low", "0", "--high", "0.2",
        "--points", "3", "--trainings", "2", "--algorithm", "distill", "--iterations", "1", "--worlds", "4",
        "--out", str(tmp_path / "c"),
    ]  # fmt: skip
    scored = workflow._score
    calls = 0

    def interrupted(*given: Any) -> float:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return scored(*given)

    monkeypatch.setattr(workflow, "_score", interrupted)
    assert main(arguments) == 130
    assert len(json.loads((tmp_path / "c" / "contexts.json").read_text())["trainings"]) == 1
    assert main(arguments) == 0
    result = json.loads((tmp_path / "c" / "contexts.json").read_text())
    assert result["trainings"][0]["index"] == 1
    assert result["contexts"] == pytest.approx([0.0, 0.1, 0.2]) and len(result["best"]) == 3
    assert calls == 3 + 2 + 3
    assert capsys.readouterr().out.count("training 2 of 2") == 2
    assert "force: 0.1\n" in (tmp_path / "c" / "context-1" / "config.yaml").read_text()
    assert main([*arguments, "--seed", "1"]) == 2
    assert "is of other settings (training)" in capsys.readouterr().err
    for given, said in (
        ("events.disturbance", "must be a setting GROUP.TERM.NAME"),
        ("events.disturbance.mass", "there is no events.disturbance.mass"),
    ):
        assert main(["contexts", "crazyflie-hover", "--setting", given, "--low", "0", "--high", "1"]) == 2
        assert said in capsys.readouterr().err
    assert main(["contexts", "crazyflie-hover", "--setting", given, "--low", "1", "--high", "0"]) == 2
    assert "low must be below high" in capsys.readouterr().err
