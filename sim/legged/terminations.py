"""Terminations of a walking episode: functions of a view (see `sim.legged.rewards`), [N] bool."""

from __future__ import annotations

import math
from typing import Annotated

from torch import Tensor

from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.terms.parameters import Limits, NonNegative
from sim.terms.terms import Termination
from sim.terms.view import View


def fall(
    view: View, *, tilt: Annotated[float, Limits(above=0.0, below=math.pi)] = 1.2, height: NonNegative = 0.1
) -> Tensor:
    """Robots tilted by more than `tilt` rad, or whose base is lower than `height` m above the ground."""
    # A comparison with NaN is false.
    upright = view["gravity"][:, 2] <= -math.cos(tilt)
    return ~(upright & (view["base_height"][:, 0] >= height))


def walking_terminations(robot: Robot) -> dict[str, Termination]:
    """The terminations of every walking task: a base at less than half of its height in the stance has fallen."""
    return {"fall": Termination(fall, {"height": 0.5 * robot.part(Legs).stand_height})}
