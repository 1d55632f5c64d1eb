"""Walking tasks for a robot of the user's own, from its MJCF and spec.

Such a task's name says all that it takes to build it again: KIND@MJCF@SPEC#DIGEST, with absolute paths, either of which
may be empty; an @, # or % in a path is written as %40, %23 or %25. The digest tells whether the files are still those
that a run was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from policies.errors import UserError
from sim.legged.ground.tiles import ScanSettings
from sim.legged.guide import GaitSettings
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task, rough_task
from sim.physics.world import Solver
from sim.robots.loading import MENAGERIE, OwnRobot, load_robot
from sim.robots.robot import Robot
from sim.task import Task
from sim.tasks.own_recipe import learning_like
from sim.terrain.terrain import TerrainSettings

SWING = 0.07
"""Height in m to which the gait lifts a foot."""
GUIDE = GaitSettings(drift=0.0)
KINDS: dict[str, Callable[[Robot, LeggedSettings], Task]] = {
    "velocity-flat": lambda robot, settings: learning_like(flat_task(robot, settings, GUIDE), robot, settings),
    "velocity-rough": lambda robot, settings: learning_like(
        rough_task(robot, settings, TerrainSettings(), ScanSettings(), GUIDE), robot, settings, rough=True
    ),
}
_CODES = {"%": "%25", "@": "%40", "#": "%23"}
_NAME = re.compile(r"(?P<kind>[^@]*)@(?P<files>.*?)(?:#(?P<digest>[0-9a-f]{12}))?", re.DOTALL)


def is_own(name: str) -> bool:
    """Whether `name` is that of a task for a robot from files."""
    return name.partition("@")[0] in KINDS and "@" in name


def own_name(kind: str, mjcf: str, spec: str) -> str:
    """The full name of the task `kind` for the robot in the files as they are now. UserError when they can't be used.

    `mjcf` is a file or menagerie:NAME; it or `spec` may be empty.
    """
    if kind not in KINDS:
        raise UserError(f"no task {kind!r} takes a robot of your own; those that do: {', '.join(KINDS)}")
    robot = mjcf if mjcf.startswith(MENAGERIE) or not mjcf else str(Path(mjcf).resolve())
    place = str(Path(spec).resolve()) if spec else ""
    return f"{kind}@{_coded(robot)}@{_coded(place)}#{load_robot(robot, place).digest}"


def kind_of(name: str) -> str:
    """The kind of task in a name from `own_name`."""
    return name.partition("@")[0]


def digest_of(name: str) -> str:
    """The digest in a name from `own_name`; empty where it was left out."""
    found = re.search(r"#([0-9a-f]{12})$", name)
    return found[1] if found else ""


def same_robot(one: str, other: str) -> bool:
    """Whether two names are of the same kind of task for the same robot, wherever its files are.

    Where those of `one` are there, the digest that earlier versions gave them counts, too.
    """
    digest, places = digest_of(other), _places(_NAME.fullmatch(one)["files"])  # type: ignore[index]
    if not digest or not digest_of(one) or kind_of(one) != kind_of(other):
        return False
    return digest == digest_of(one) or (_are_there(places) and digest in load_robot(*(places or ())).digests)


def own_robot(name: str, before: bool = False) -> OwnRobot:
    """The robot in the files of a name from `own_name`, whose digest may be left out, and special characters of whose
    paths may be plain. UserError when the files changed.

    `before` gives it the default action scale and physics of the runs that hold no copy of their robot.
    """
    match = _NAME.fullmatch(name)
    places = _places(match["files"]) if match else None
    if match is None or places is None or match["kind"] not in KINDS:
        raise UserError(
            f"a task for a robot of your own is named KIND@MJCF@SPEC, KIND of {', '.join(KINDS)}; got {name!r}"
        )
    own = load_robot(*places, before=before)
    if match["digest"] and match["digest"] not in own.digests:
        shown = " and ".join(filter(None, places))
        raise UserError(f"{shown} changed since this run was made; put the files back, or train again")
    return own


@lru_cache(maxsize=8)
def own_task(name: str) -> Task:
    """The task of a name from `own_name`; the digest may be left out. UserError when the files have changed."""
    return task_for(kind_of(name), own_robot(name))


def task_for(kind: str, own: OwnRobot) -> Task:
    """The task of a kind for a robot."""
    solver = Solver(timestep=own.timestep, iterations=own.iterations)
    return KINDS[kind](own.robot, LeggedSettings(gait=own.gait, clearance=own.foot_height + SWING, solver=solver))


def _coded(place: str) -> str:
    for plain, code in _CODES.items():
        place = place.replace(plain, code)
    return place


def _plain(place: str) -> str:
    for plain, code in reversed(_CODES.items()):
        place = place.replace(code, plain)
    return place


def _places(files: str) -> tuple[str, str] | None:
    """MJCF and spec of MJCF@SPEC: where a path has an @ of its own, as split into files that exist."""
    parts = files.split("@")
    splits = [("@".join(parts[:i]), "@".join(parts[i:])) for i in range(1, len(parts))]
    choices = [pair for split in splits for pair in ((_plain(split[0]), _plain(split[1])), split) if any(pair)]
    return next((pair for pair in choices if _are_there(pair)), choices[0] if choices else None)


def _are_there(places: tuple[str, str] | None) -> bool:
    return places is not None and all(
        not place or place.startswith(MENAGERIE) or Path(place).is_file() for place in places
    )
