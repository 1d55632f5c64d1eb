"""Numbers as people write them in YAML."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policies.validation import with_numbers


@given(st.floats(allow_nan=False), st.sampled_from(["{}", "[1, {}]", "{{a: {{b: {}}}}}"]))
def test_a_number_is_read_whichever_way_it_is_written(value: float, place: str) -> None:
    wanted = {"{}": value, "[1, {}]": [1, value], "{{a: {{b: {}}}}}": {"a": {"b": value}}}[place]
    text = f"{value:.17e}".replace("e+", "e").replace("inf", ".inf")
    assert with_numbers(yaml.safe_load(place.format(text))) == wanted
    assert with_numbers(wanted) == wanted


@pytest.mark.parametrize(("text", "value"), [("4e1", 40.0), ("-1E-3", -0.001), (".5e2", 50.0), ("+2.e1", 20.0)])
def test_an_exponent_needs_neither_dot_nor_sign(text: str, value: float) -> None:
    assert with_numbers(yaml.safe_load(text)) == value


@pytest.mark.parametrize("text", ["FR_e1", "e1", "4e", "1e1e1", "0x1e1", "4 e1", "FR4e1", "", "-"])
def test_other_texts_stay_texts(text: str) -> None:
    assert with_numbers(text) == text
    assert math.isnan(with_numbers(math.nan))
