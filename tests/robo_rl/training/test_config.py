from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.errors import UserError
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.training import config
from robo_rl.training.config import TrainConfig

CONFIG = TrainConfig("crazyflie-hover", PpoConfig(iterations=7, actor_hidden=(32, 16)), seed=3, threads=2)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 9_999_999),
    rate=st.floats(1e-6, 1.0),
    widths=st.lists(st.integers(1, 512), min_size=1, max_size=4),
    task=st.text(min_size=1),
)
@example(seed=0, rate=1.0, widths=[1], task="\x85")
@example(seed=0, rate=1.0, widths=[1], task="a\u2028b\u2029c\ufeff")
def test_what_is_written_is_what_is_read(seed: int, rate: float, widths: list[int], task: str) -> None:
    one = TrainConfig(task, PpoConfig(learning_rate=rate, actor_hidden=tuple(widths)), seed=seed)
    assert config.from_yaml(config.to_yaml(one)) == one


def test_the_file_holds_every_field() -> None:
    document = yaml.safe_load(config.to_yaml(CONFIG))
    assert document["algorithm"].keys() == {"name", *PpoConfig.__dataclass_fields__}
    assert document.keys() == set(TrainConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("seed",), 3.5, "must be a whole number, got 3.5 @ .seed"),
        (("seed",), True, "must be a whole number, got True"),
        (("seed",), -1, "seed must be at least 0 and at most 9999999, got -1"),
        (("threads",), "two", "must be a whole number, got 'two' @ .threads"),
        (("device",), "tpu", "device must be cpu, cuda or cuda:N, got 'tpu'"),
        (("sead",), 1, "unknown field sead; fields: task, algorithm, seed"),
        (("algorithm", "discount"), 1.5, "discount must be at least 0.0 and at most 1.0, got 1.5"),
        (("algorithm", "discount"), float("nan"), "must be a finite number, got nan @ .algorithm.discount"),
        (("algorithm", "discound"), 0.9, "unknown field discound"),
        (("algorithm", "actor_hidden"), [64, "x"], "must be a whole number, got 'x'"),
        (("algorithm", "distribution"), "cauchy", "cauchy"),
        (("algorithm", "name"), "pppo", "there is no algorithm 'pppo'; algorithms: distill, flight, ppo, sac"),
        (("algorithm",), "ppo", "must hold 'name: ppo'"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(path: tuple[str, ...], value: Any, message: str) -> None:
    document = yaml.safe_load(config.to_yaml(CONFIG))
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(UserError) as caught:
        config.from_yaml(yaml.safe_dump(document), "run/config.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("run/config.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1", "task: [", "\x00"])
def test_what_is_no_config_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        config.from_yaml(text)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(UserError, match="task is missing"):
        config.from_yaml("algorithm: {name: ppo}")


def test_differences_name_every_changed_field() -> None:
    other = TrainConfig("crazyflie-hover", PpoConfig(iterations=8, actor_hidden=(32, 16)), seed=4, threads=2)
    assert config.differences(CONFIG, other) == [
        "iterations is 7 in the run, 8 was given",
        "seed is 3 in the run, 4 was given",
    ]


def test_a_config_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        config.load(tmp_path / "config.yaml")


def test_an_exponent_needs_neither_dot_nor_sign() -> None:
    text = config.to_yaml(CONFIG)
    assert "learning_rate: 0.001" in text
    assert config.from_yaml(text.replace("learning_rate: 0.001", "learning_rate: 1e-3")) == CONFIG
