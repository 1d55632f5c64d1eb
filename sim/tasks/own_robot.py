"""Walking tasks for a robot of the user's own, from its MJCF and spec.

Such a task's name says all that it takes to build it again: KIND@MJCF@SPEC#DIGEST, with absolute paths, either of which
may be empty. The digest tells whether the files are still those that a run was trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from policies.errors import UserError
from sim.legged.ground.tiles import ScanSettings
from sim.legged.guide import GaitSettings
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task, rough_task
from sim.robots.loading import MENAGERIE, load_robot
from sim.robots.robot import Robot
from sim.task import Task
from sim.terrain.terrain import TerrainSettings

SWING = 0.07
"""Height in m to which the gait lifts a foot."""
GUIDE = GaitSettings(drift=0.0)
KINDS: dict[str, Callable[[Robot, LeggedSettings], Task]] = {
    "velocity-flat": lambda robot, settings: flat_task(robot, settings, guide=GUIDE),
    "velocity-rough": lambda robot, settings: rough_task(
        robot, settings, TerrainSettings(), ScanSettings(), guide=GUIDE
    ),
}


def is_own(name: str) -> bool:
    """Whether `name` is that of a task for a robot from files."""
    return "@" in name


def own_name(kind: str, mjcf: str, spec: str) -> str:
    """The full name of the task `kind` for the robot in the files as they are now. UserError when they can't be used.

    `mjcf` is a file or menagerie:NAME; it or `spec` may be empty.
    """
    if kind not in KINDS:
        raise UserError(f"no task {kind!r} takes a robot of your own; those that do: {', '.join(KINDS)}")
    robot = mjcf if mjcf.startswith(MENAGERIE) or not mjcf else str(Path(mjcf).resolve())
    place = str(Path(spec).resolve()) if spec else ""
    return f"{kind}@{robot}@{place}#{load_robot(robot, place).digest}"


@lru_cache(maxsize=8)
def own_task(name: str) -> Task:
    """The task of a name from `own_name`; the digest may be left out. UserError when the files have changed."""
    files, _, digest = name.partition("#")
    kind, *places = files.split("@")
    if kind not in KINDS or len(places) != 2 or not any(places):
        raise UserError(
            f"a task for a robot of your own is named KIND@MJCF@SPEC, KIND of {', '.join(KINDS)}; got {name!r}"
        )
    own = load_robot(*places)
    if digest and own.digest != digest:
        shown = " and ".join(filter(None, places))
        raise UserError(f"{shown} changed since this run was made; put the files back, or train again")
    return KINDS[kind](own.robot, LeggedSettings(gait=own.gait, clearance=own.foot_height + SWING))
