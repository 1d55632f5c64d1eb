"""Numbers in the spec of a robot of one's own: with exponents, and those that no bundle can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import UserError
from sim.robots.loading import load_robot
from tests.sim.robots.test_own_robots import toy


def test_an_exponent_needs_neither_dot_nor_sign(tmp_path: Path) -> None:
    path = toy(tmp_path)
    path.write_text(path.read_text() + "stiffness: 4e1\ndamping: {knee: 2e0, roll: 1}\nstand_height: 45e-2\n")
    robot = load_robot(spec=str(path)).robot
    assert robot.stiffness == (40.0,) * 6
    assert robot.damping == (1.0, 2.0, 2.0) * 2


@pytest.mark.parametrize("field", ["joint_low", "joint_high", "torque_limit", "joint_speed", "action_scale"])
def test_a_limit_that_no_bundle_can_hold_is_refused_before_training(tmp_path: Path, field: str) -> None:
    path = toy(tmp_path)
    sign = "-" if field == "joint_low" else ""
    path.write_text(path.read_text() + f"{field}: {sign}.inf\n")
    with pytest.raises(UserError, match=f"robot toy: .*{field} of left_roll must be .*finite.*inf") as caught:
        load_robot(spec=str(path))
    assert "\n" not in str(caught.value)
