"""Settings of walking worlds: what does not fit is refused in one line, and the docs name every one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from policies.errors import UserError
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.physics.world import Solver
from sim.robots.go1 import GO1
from sim.tasks import find_task

TROT = LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0))
DOCUMENT = Path(__file__).parents[3] / "docs" / "locomotion.md"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: replace(TROT, frequency=0.0), "frequency must be above 0"),
        (lambda: replace(TROT, duty=1.0), "duty must be above 0.0 and below 1.0, got 1.0"),
        (lambda: replace(TROT, gait=(0.0, 1.0)), "gait must be at least 0.0 and below 1.0"),
    ],
)
def test_settings_out_of_range_are_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_worlds": 0}, "num_worlds must be at least 1, got 0"),
        ({"device": "cuda"}, "on the CPU, got device cuda"),
        ({"imperfections": -1.0}, "imperfections must be at least 0"),
        ({"settings": replace(TROT, gait=(0.0, 0.5))}, "a phase for each of the 4 feet of go1"),
        (
            {"settings": replace(TROT, solver=Solver(timestep=0.007))},
            "timestep must divide the control period of 0.02 s, got 0.007",
        ),
    ],
)
def test_a_world_that_can_not_be_made_is_refused(arguments: dict[str, Any], message: str) -> None:
    given = {"num_worlds": 2, "seed": 0, **arguments}
    task = flat_task(GO1, given.pop("settings", TROT))
    with pytest.raises(UserError, match=message):
        task.make_environment(**given)


@pytest.mark.parametrize("name", ["go1-velocity-flat", "go1-velocity-rough"])
def test_the_docs_name_every_term_and_setting(name: str) -> None:
    text = DOCUMENT.read_text()
    task = find_task(name)
    found = {term for group in task.settings().values() for term in group}
    found |= {field.name for field in fields(LeggedSettings)}
    assert not [term for term in sorted(found) if f"`{term}`" not in text]
