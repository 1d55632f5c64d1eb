"""What is understood of a robot's file that a test writes, and the line that refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.errors import UserError
from sim.robots.loading import OwnRobot
from sim.tasks.inspection import inspect_robot, load
from tests.sim.robots.walker import written


def loaded(folder: Path, text: str, spec: dict[str, object] | None = None) -> OwnRobot:
    return load(written(folder, text, spec))


def refused(folder: Path, text: str, spec: dict[str, object] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        loaded(folder, text, spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def warned(own: OwnRobot, words: str) -> bool:
    return any(words in line for line in own.warnings)


def held(folder: Path, text: str, spec: dict[str, object] | None = None) -> dict[str, Any]:
    """The report on a robot that must stand."""
    report = inspect_robot(written(folder, text, spec))
    hold = report["hold"]
    assert (hold["falls"], hold["failed_worlds"]) == (0, 0)
    assert hold["base_height"] == pytest.approx(report["stand_height"], abs=0.06)
    assert report["mass"] == pytest.approx(report["mujoco_mass"], rel=1e-9)
    return report
