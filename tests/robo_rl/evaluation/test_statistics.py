from __future__ import annotations

import numpy as np
import pytest

from policies.errors import UserError
from robo_rl.evaluation.statistics import SAME, UNDECIDED, Design, compare

ONE_LOOK = Design(interims=1)


def normal(seeds: int, mean: float, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, size=seeds))


def test_groups_far_apart_are_ordered_after_the_first_look() -> None:
    found = compare({"low": normal(10, 0.0, 1), "high": normal(10, 50.0, 2), "low again": normal(10, 0.0, 3)})
    verdicts = {(pair.first, pair.second): pair for pair in found.pairs}
    assert verdicts["low", "high"].verdict == "smaller"
    assert verdicts["high", "low again"].verdict == "larger"
    assert verdicts["low", "high"].seeds == 5
    assert verdicts["low", "high"].difference == pytest.approx(np.mean(normal(5, 0.0, 1)) - np.mean(normal(5, 50.0, 2)))


def test_a_pair_without_a_difference_needs_every_look_and_then_shows_none() -> None:
    scores = {"a": normal(25, 0.0, 3), "b": normal(25, 0.0, 4)}
    (early,) = compare({name: one[:19] for name, one in scores.items()}).pairs
    assert (early.verdict, early.seeds) == (UNDECIDED, 15)
    found = compare(scores)
    assert (found.pairs[0].verdict, found.seeds, found.undecided) == (SAME, 25, ())


def test_what_needs_more_seeds_is_named() -> None:
    found = compare({"a": normal(5, 0.0, 1), "b": normal(5, 0.0, 2), "c": normal(5, 90.0, 3)})
    assert found.undecided == ("a", "b")
    assert found.document()["undecided"] == ["a", "b"]


def test_with_one_look_five_seeds_decide() -> None:
    found = compare({"a": normal(5, 0.0, 1), "b": normal(5, 0.0, 2)}, ONE_LOOK)
    assert (found.pairs[0].verdict, found.seeds) == (SAME, 5)


def test_a_mirrored_question_has_the_mirrored_answer() -> None:
    a, b = normal(5, 0.0, 1), normal(5, 4.0, 2)
    assert compare({"a": a, "b": b}, ONE_LOOK).pairs[0].verdict == "smaller"
    assert compare({"b": b, "a": a}, ONE_LOOK).pairs[0].verdict == "larger"


def test_equal_groups_are_called_different_no_more_often_than_the_level() -> None:
    """At level 0.1, 120 pairs of equal groups give 12 false alarms; the library by itself gives twice as many."""
    draws = np.random.default_rng(0).normal(size=(120, 2, 5))
    design = Design(interims=1, alpha=0.1)
    alarms = sum(compare({"a": a, "b": b}, design).pairs[0].verdict != SAME for a, b in draws)
    assert alarms <= 19


def test_identical_scores_are_no_difference() -> None:
    assert compare({"a": [1.0] * 5, "b": [1.0] * 5}, ONE_LOOK).pairs[0].verdict == SAME


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"a": [1.0] * 4, "b": [1.0] * 5}, "AdaStop needs 5 seeds of each group, and a has 4"),
        ({"a": [1.0] * 5}, "two groups or more, got 1"),
        ({"a": [1.0] * 5, "b": [1.0, 2.0, float("nan"), 1.0, 1.0]}, "a score of b is not finite"),
    ],
)
def test_what_can_not_be_compared_is_refused(scores: dict[str, list[float]], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        compare(scores)


def test_a_design_that_can_show_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"permuting 3 seeds .* take more seeds"):
        Design(seeds=3)
