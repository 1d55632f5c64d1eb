"""Robots to train, MJCF and spec, by name."""

from __future__ import annotations

from difflib import get_close_matches

from policies.errors import UserError
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legged import LeggedRobot

ROBOTS: dict[str, LeggedRobot] = {robot.name: robot for robot in (GO1, H1)}


def find_robot(name: str) -> LeggedRobot:
    """The legged robot called `name`; a UserError that names the nearest one otherwise."""
    if name in ROBOTS:
        return ROBOTS[name]
    near = get_close_matches(name, ROBOTS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(f"there is no robot {name!r}.{hint} Robots: {', '.join(sorted(ROBOTS))}")
