"""What a robot's files are understood to say, and how the robot stands in the physics that it will learn in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco

from sim.legged.hold import WORLDS, hold_stance
from sim.robots.legs import Legs
from sim.robots.loading import MENAGERIE, OwnRobot, load_robot
from sim.robots.own.files import UNNAMED
from sim.robots.robot import Robot
from sim.tasks.own_robot import task_for

MOST_FALLS = WORLDS // 8
"""Falls of robots on three legs or more from which holding the stance is said to fail."""
_DERIVED = "the stance is derived"


def load(source: str) -> OwnRobot:
    """The robot of a spec (.yaml or .yml), of an MJCF or URDF, or of menagerie:NAME."""
    if not source.startswith(MENAGERIE) and Path(source).suffix.lower() in (".yaml", ".yml"):
        return load_robot(spec=source)
    return load_robot(mjcf=source)


def inspect_robot(source: str, look: Callable[[Any, Any], None] | None = None) -> dict[str, Any]:
    """Plain data on the robot of `source`; numbers are in SI units and lists in the order of `joints`.

    `look` sees task and environment after the hold. UserError for files that can't be used.
    """
    own = load(source)
    robot, legs = own.robot, own.robot.part(Legs)
    task = task_for("velocity-flat", own)
    hold = hold_stance(task, None if look is None else lambda environment: look(task, environment))
    return {
        "name": robot.name,
        "digest": own.digest,
        "base": robot.base,
        "mass": hold.mass,
        "mujoco_mass": own.mass,
        "joints": list(robot.joints),
        "passive": [joint for joint, _ in robot.passive],
        "joint_low": list(robot.joint_low),
        "joint_high": list(robot.joint_high),
        "stance": list(legs.stance),
        "stiffness": list(robot.stiffness),
        "damping": list(robot.damping),
        "torque_limit": list(robot.torque_limit),
        "sources": {field: list(words) for field, words in own.sources.items()},
        "feet": [list(foot) for foot in own.feet],
        "gait": list(own.gait),
        "mirror": {
            "joints": [robot.joints[i] for i in legs.mirror.joint_from],
            "signs": list(legs.mirror.joint_sign),
            "feet": [legs.feet[i] for i in legs.mirror.foot_from],
        },
        "stand_height": legs.stand_height,
        "contacts": _contacts(robot, hold.model),
        "solver": _solver(task.world),
        "hold": {
            "falls": hold.falls,
            "failed_worlds": hold.failed_worlds,
            "largest_speed": hold.largest_speed,
            "base_height": hold.base_height,
        },
        "warnings": [*own.warnings, *_judged(own, hold.falls, hold.failed_worlds)],
    }


def derived_stance_held(own: OwnRobot) -> list[str]:
    """Lines on how robots hold a stance that was derived; none for one that the files give."""
    if not any(_DERIVED in line for line in own.warnings):
        return []
    hold = hold_stance(task_for("velocity-flat", own))
    held = f"{WORLDS - hold.falls - hold.failed_worlds} of {WORLDS} robots hold the derived stance for 1 s"
    return [held, *_judged(own, hold.falls, hold.failed_worlds)]


def _contacts(robot: Robot, model: mujoco.MjModel) -> dict[str, list[str]]:
    """The geoms of the robot, and those of props, that touch the ground, by name or by their body's."""
    found: dict[str, list[str]] = {"robot": [], "props": []}
    base = int(model.body(robot.base).id)
    for geom in range(model.ngeom):
        body = int(model.geom_bodyid[geom])
        if body and model.geom_conaffinity[geom] & 1:
            name = str(model.geom(geom).name)
            shown = f"of {model.body(body).name}" if name.startswith(UNNAMED) else name
            found["robot" if model.body_rootid[body] == base else "props"].append(shown)
    return found


def _solver(world: Any) -> dict[str, Any]:
    return dict(vars(world.settings.solver))


def _judged(own: OwnRobot, falls: int, failed: int) -> list[str]:
    """Lines on a stance that does not hold; a biped need not stand without a policy."""
    lines = []
    if falls > MOST_FALLS and len(own.gait) > 2:
        lines.append(
            f"{falls} of {WORLDS} robots fall while they hold the stance: look at stance, gains and feet"
        )  # fmt: skip
    if failed:
        where = "masses, gains, feet and props" if own.robot.contacts else "masses, gains and feet"
        lines.append(f"the simulation of {failed} of {WORLDS} robots broke down: look at {where}")
    return lines
