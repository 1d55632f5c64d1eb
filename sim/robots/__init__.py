"""Robots of all families by name. A new robot is one new file here and its name in `ROBOTS`."""

from __future__ import annotations

from difflib import get_close_matches

from policies.errors import UserError
from sim.robots.crazyflie import CRAZYFLIES
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.robot import Robot

ROBOTS: dict[str, Robot] = {robot.name: robot for robot in (*CRAZYFLIES, GO1, H1)}


def find_robot(name: str) -> Robot:
    """The robot called `name`; a UserError that names the nearest one otherwise."""
    if name in ROBOTS:
        return ROBOTS[name]
    near = get_close_matches(name, ROBOTS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(f"there is no robot {name!r}.{hint} Robots: {', '.join(sorted(ROBOTS))}")
