"""Robots of the make of public ones are understood from their files alone, and stand."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.robots.loading import load_robot
from sim.tasks.inspection import inspect_robot

FOLDER = Path(__file__).parents[3] / "docs/examples/robots"
ROBOTS = ("go2", "spot", "anymal_c")


@cache
def report(robot: str) -> dict[str, Any]:
    return inspect_robot(str(FOLDER / robot / f"{robot}.xml"))


@pytest.mark.parametrize("robot", ROBOTS)
def test_they_stand_on_four_feet_that_trot(robot: str) -> None:
    found = report(robot)
    hold = found["hold"]
    assert (hold["falls"], hold["failed_worlds"]) == (0, 0) and hold["largest_speed"] < 10.0
    assert found["mass"] == pytest.approx(found["mujoco_mass"], rel=1e-9)
    # Left before right, front before hind.
    assert found["gait"] == [0.0, 0.5, 0.5, 0.0]
    assert [len(foot) for foot in found["feet"]] == [1] * 4
    assert found["mirror"]["signs"] == [-1.0, 1.0, 1.0] * 4
    stance = np.array(found["stance"]).reshape(4, 3)
    np.testing.assert_allclose(stance[::2, 1:], stance[1::2, 1:])


def test_what_each_file_lacks_is_found_or_derived() -> None:
    go2, spot, anymal = map(report, ROBOTS)
    assert any("keyframe home of scene.xml" in line for line in go2["warnings"])
    assert go2["sources"]["stiffness"] == go2["sources"]["damping"] == ["derived"] * 12
    assert go2["torque_limit"] == [23.7, 23.7, 45.43] * 4
    assert spot["stiffness"] == [500.0] * 12 and spot["damping"] == [40.0] * 12
    assert any("the stance is derived" in line for line in anymal["warnings"])
    assert anymal["sources"]["stiffness"] == ["derived"] * 12
    # The base of its file is turned about the vertical; knees point inwards from front and hind.
    assert anymal["stance"][1] * anymal["stance"][7] < 0.0


def test_physics_takes_shorter_steps_where_damping_is_large_for_a_light_leg() -> None:
    assert report("go2")["solver"]["timestep"] == 0.01
    assert report("spot")["solver"]["timestep"] == 0.004
    before = load_robot(str(FOLDER / "spot/spot.xml"), before=True)
    assert (before.timestep, before.iterations) == (0.01, 10), "runs of before keep their physics"
