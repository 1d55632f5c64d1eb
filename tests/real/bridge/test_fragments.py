"""Fragments: whatever is cut can be joined in any order, and a hostile client can't fill the memory."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.bridge.fragments import FragmentError, Joiner, cut


@given(st.text(min_size=1, max_size=300), st.integers(1, 50), st.randoms())
def test_cut_and_join(text: str, size: int, order: random.Random) -> None:
    frames = list(cut(text, size, "f"))
    if len(text) <= size:
        assert frames == [text]
        return
    order.shuffle(frames)
    joiner = Joiner(10**6)
    joined = [joiner.add(json.loads(frame)) for frame in frames]
    assert joined[:-1] == [None] * (len(frames) - 1)
    assert joined[-1] == text


def test_without_a_size_nothing_is_cut() -> None:
    assert list(cut("x" * 1000, math.inf, "f")) == ["x" * 1000]


def test_unfinished_fragments_are_bounded() -> None:
    joiner = Joiner(1000)

    def flood() -> None:
        for number in range(10**4):
            joiner.add({"id": "f", "data": "", "num": number, "total": 10**9})

    with pytest.raises(FragmentError, match="1000"):
        flood()


@pytest.mark.parametrize("change", [{"num": -1}, {"num": 2}, {"num": "0"}, {"total": None}, {"data": 3}])
def test_fragments_that_contradict_themselves(change: dict[str, object]) -> None:
    with pytest.raises(FragmentError):
        Joiner(1000).add({"id": "f", "data": "x", "num": 0, "total": 2, **change})
