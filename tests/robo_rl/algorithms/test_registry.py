"""The table of algorithms, and the settings that a task recommends for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policies.errors import UserError
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.flight import FlightConfig
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import ALGORITHMS, algorithm_name, default_algorithm, recommended_config
from robo_rl.cli.main import main
from sim.tasks import TASKS, find_task
from tests.robo_rl.tiny_environment import point_task


@pytest.mark.parametrize("task", TASKS)
def test_what_a_task_recommends_can_be_built(task: str) -> None:
    for name in find_task(task).recommended:
        assert algorithm_name(recommended_config(name, find_task(task))) == name


def test_the_defaults_with_what_the_task_recommends_instead() -> None:
    task = replace(point_task(), recommended={"ppo": {"actor_hidden": [8, 4], "discount": 1}})
    assert recommended_config("ppo", task) == PpoConfig(actor_hidden=(8, 4), discount=1.0)
    assert recommended_config("flight", task) == FlightConfig()
    assert recommended_config("ppo", None) == PpoConfig()


def test_what_is_recommended_for_ppo_holds_for_distillation() -> None:
    task = replace(point_task(), recommended={"ppo": {"discount": 0.9, "epochs": 2}, "distill": {"epochs": 3}})
    assert recommended_config("distill", task) == DistillConfig(discount=0.9, epochs=3)


def test_the_first_recommendation_is_the_default_algorithm_and_ppo_without_one() -> None:
    assert default_algorithm(find_task("crazyflie-hover")) == "flight"
    assert default_algorithm(find_task("h1-velocity-flat")) == "ppo"
    assert default_algorithm(point_task()) == default_algorithm(None) == "ppo"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"discound": 0.9}, "what point recommends for ppo: unknown field discound; fields: num_worlds"),
        ({"iterations": 3.5}, "what point recommends for ppo: must be a whole number, got 3.5 @ .*iterations"),
        ({"discount": 2.0}, "what point recommends for ppo: discount must be at least 0.0 and at most 1.0, got 2.0"),
    ],
)
def test_a_wrong_recommendation_is_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recommended_config("ppo", replace(point_task(), recommended={"ppo": settings}))


def test_the_command_line_is_made_from_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "crazyflie-hover", "--algorithm", "magic"]) == 2
    assert f"there is no algorithm 'magic'; algorithms: {', '.join(ALGORITHMS)}" in capsys.readouterr().err
    for name, entry in ALGORITHMS.items():
        with pytest.raises(SystemExit):
            main(["train", "--algorithm", name, "--help"])
        shown = capsys.readouterr().out
        assert f"{{{','.join(ALGORITHMS)}}}" in shown
        first = next(iter(entry.config_class().__dataclass_fields__))
        assert f"--{first.replace('_', '-')}" in shown


def test_processes_are_for_algorithms_that_share_worlds(capsys: pytest.CaptureFixture[str]) -> None:
    for name, entry in ALGORITHMS.items():
        if not entry.shares_worlds:
            assert main(["train", "crazyflie-hover", "--algorithm", name, "--processes", "2"]) == 2
            error = capsys.readouterr().err
            assert f"{name} learns in one process; leave --processes out or use --algorithm distill or ppo" in error
