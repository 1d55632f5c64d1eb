"""Robots from any MJCF or URDF with a short spec: a YAML file that says what the file itself does not.

What a spec leaves out is taken from the file where it says so, or derived: the base (the floating body with the most
joints), the joints (all hinges that something drives), limits, motors' gains and torques, the feet (the lowest geoms at
the ends of the legs), the stance (keyframe "home", or the first one, or feet below hips), the stand height and the
mirror (by place and axis). `OwnRobot.warnings` says what was derived or left out. Actuators and sensors of the file are
replaced by ours when the world is built (sim.physics.mujoco.model).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from policies.errors import UserError, one_line
from sim.robots.own.builder import FIELDS, Built, build
from sim.robots.own.files import digest, first_digest, read_spec
from sim.robots.own.steps import ITERATIONS
from sim.robots.robot import Robot

MENAGERIE = "menagerie:"


@dataclass(frozen=True)
class OwnRobot:
    """A robot from a user's files. `gait` is the phase of each foot in turns, `foot_height` m the height of the feet's
    centres above the ground in the stance; `digest` tells versions of the files apart."""

    robot: Robot
    gait: tuple[float, ...]
    foot_height: float
    digest: str
    digests: tuple[str, ...] = ()
    """All digests that the files have, those of earlier versions of this program included."""
    feet: tuple[tuple[str, ...], ...] = ()
    """The geoms of each foot, by their names in the file."""
    mass: float = 0.0
    """The robot's mass in kg as MuJoCo has it from the file."""
    warnings: tuple[str, ...] = ()
    """Lines on what was derived, changed or left out."""
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where values are from, by field, in the order of the joints."""
    timestep: float = 0.01
    """Of its physics, s."""
    iterations: int = 10
    """Most steps of the constraint solver."""


def load_robot(mjcf: str = "", spec: str = "", before: bool = False) -> OwnRobot:
    """The robot of an MJCF or URDF file, or of menagerie:NAME, and of a YAML spec; either may be omitted if the other
    is sufficient. `before` gives it the default action scale and physics of the runs that hold no copy of their robot.

    Raises UserError, one line, for files that can't be read, malformed MJCF or YAML, names the MJCF does not have, and
    values that neither file gives.
    """
    given = read_spec(Path(spec), FIELDS) if spec else {}
    source = mjcf or _beside(spec, given)
    path = menagerie_path(source.removeprefix(MENAGERIE)) if source.startswith(MENAGERIE) else Path(source)
    name = str(given.get("name") or _name(source))
    built: Built = build(path, given, name, before)
    now = digest(path, given, built.further)
    own = OwnRobot(
        built.robot, built.gait, built.foot_height, now, (now, first_digest(path, given)), built.feet, built.mass,
        built.warnings, built.sources,
    )  # fmt: skip
    return own if before else replace(own, timestep=built.timestep, iterations=ITERATIONS)


def menagerie_path(name: str) -> Path:
    """The MJCF of a robot of MuJoCo Menagerie, from the package's cache or downloaded into it."""
    try:
        import mujoco_menagerie
    except ModuleNotFoundError:
        raise UserError("menagerie: robots need the package mujoco-menagerie; pip install robo-rl[menagerie]") from None
    try:
        known = mujoco_menagerie.get(name)
        folder = Path(known.path(progress=None))
        return folder / str(known.entry(known.default_model).file)
    except mujoco_menagerie.UnknownRobotError as error:
        raise UserError(f"{MENAGERIE}{name}: {one_line(error)} Its robots: mujoco-menagerie names") from None
    except (mujoco_menagerie.MenagerieError, OSError) as error:
        raise UserError(
            f"{MENAGERIE}{name} is not in the cache and can't be downloaded ({one_line(error)}); without a network, "
            "set MENAGERIE_CACHE_DIR to a cache filled elsewhere, or MENAGERIE_ROOT to a checkout of mujoco_menagerie"
        ) from None


def _name(source: str) -> str:
    return source.removeprefix(MENAGERIE) if source.startswith(MENAGERIE) else Path(source).stem


def _beside(spec: str, given: Mapping[str, Any]) -> str:
    """The spec's own mjcf, relative to the spec."""
    own = given.get("mjcf")
    if not own:
        raise UserError("name the robot's MJCF with --robot.mjcf FILE, or with mjcf: FILE in its spec")
    return str(own) if str(own).startswith(MENAGERIE) else str(Path(spec).parent / str(own))
