"""What legs add to a robot: feet, its poses when standing and lying, and its mirror symmetry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from policies.specs import JointSpec, MotorSpec
from sim.robots.robot import Frame, ModelSensor, Part, Robot, Vector, check_names

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mirror:
    """Reflection of the robot in its sagittal (x-z) plane, as joint order and signs.

    `joint_from[i]` is the joint whose value, times `joint_sign[i]`, joint i takes in the mirrored robot; likewise
    `foot_from` for the feet. Both must be involutions: mirroring twice changes nothing.
    """

    joint_from: tuple[int, ...]
    joint_sign: tuple[float, ...]
    foot_from: tuple[int, ...]

    def __post_init__(self) -> None:
        _involution("joint_from", self.joint_from)
        _involution("foot_from", self.foot_from)
        if len(self.joint_sign) != len(self.joint_from):
            raise UserError(f"mirror: joint_sign needs {len(self.joint_from)} values, got {len(self.joint_sign)}")
        for joint, source in enumerate(self.joint_from):
            sign, back = self.joint_sign[joint], self.joint_sign[source]
            if abs(sign) != 1.0 or sign * back != 1.0:
                raise UserError(
                    f"mirror: joint_sign must be 1 or -1 and the same for joints {joint} and {source}, which mirror "
                    f"each other, or mirroring twice is not an identity; got {sign:g} and {back:g}"
                )


def _involution(field: str, order: Sequence[int]) -> None:
    if sorted(order) != list(range(len(order))):
        raise UserError(f"mirror: {field} must hold every index from 0 to {len(order) - 1} once, got {tuple(order)}")
    for index, source in enumerate(order):
        if order[source] != index:
            raise UserError(
                f"mirror: {field} must be an involution, but {index} takes from {source} and {source} from "
                f"{order[source]}; both must take from each other"
            )


@dataclass(frozen=True)
class Sole:
    """A foot of several geoms: touching is that of its `link` and what is fixed to it, its place is their middle."""

    foot: str
    link: str
    """The body at the end of the leg."""
    middle: Vector
    """In the frame of the link, m."""


@dataclass(frozen=True)
class Legs(Part):
    """The legs of a robot; every tuple of numbers is in the order of the robot's joints.

    Sensors, named by `foot_sensor`: contact, position and velocity (world) of every foot.
    """

    what: ClassVar[str] = "legs"

    feet: tuple[str, ...]
    """Names of the feet: each that of its geom, or of a `Sole`."""
    stance: tuple[float, ...]
    """Joint positions in rad that the robot stands in and that the action 0 commands."""
    stand_height: float
    """Height of the base's origin above flat ground in the stance, in m."""
    lying: tuple[float, ...]
    """Joint positions in rad in which the robot lies at rest."""
    action_scale: tuple[float, ...]
    """Change of the target in rad that the action 1 commands."""
    mirror: Mirror
    soles: tuple[Sole, ...] = ()
    """The feet of several geoms."""

    @property
    def frames(self) -> Mapping[str, Frame]:
        soles = {sole.foot: Frame(sole.link, position=sole.middle) for sole in self.soles}
        return {_foot_frame(foot): soles.get(foot, Frame(geom=foot)) for foot in self.feet}

    @property
    def sensors(self) -> tuple[ModelSensor, ...]:
        links = {sole.foot: sole.link for sole in self.soles}

        def touch(foot: str) -> ModelSensor:
            name = foot_sensor(foot, "contact")
            if foot in links:
                return ModelSensor(name, "link_contact", links[foot])
            return ModelSensor(name, "contact", foot)

        return (
            *(touch(foot) for foot in self.feet),
            *(ModelSensor(foot_sensor(foot, "position"), "position", _foot_frame(foot)) for foot in self.feet),
            *(ModelSensor(foot_sensor(foot, "velocity"), "linear_velocity", _foot_frame(foot)) for foot in self.feet),
        )

    def check(self, robot: Robot) -> None:
        for field in ("joints", "feet"):
            if not getattr(robot if field == "joints" else self, field):
                raise UserError(f"robot {robot.name}: {field} must name at least one")
        check_names(robot, "feet", self.feet)
        robot.check_pose("stance", self.stance)
        robot.check_pose("lying", self.lying)
        if not (math.isfinite(self.stand_height) and self.stand_height > 0):
            raise UserError(
                f"robot {robot.name}: stand_height must be above 0 m, got {self.stand_height:.4g}; its feet "
                f"({', '.join(self.feet)}) must be below its base in the stance: give stance, feet or stand_height"
            )
        robot.check_length("action_scale", self.action_scale)
        robot.check_bound("action_scale", self.action_scale, above=True)
        for field, found, wanted in (
            ("mirror.joint_from", len(self.mirror.joint_from), len(robot.joints)),
            ("mirror.foot_from", len(self.mirror.foot_from), len(self.feet)),
        ):
            if found != wanted:
                raise UserError(f"robot {robot.name}: {field} needs {wanted} values, got {found}")


def joint_spec(robot: Robot) -> JointSpec:
    """The joints' specification in a legged robot's bundle."""
    legs = robot.part(Legs)
    motors = MotorSpec(robot.stiffness, robot.damping, robot.torque_limit)
    return JointSpec(robot.joints, robot.joint_low, robot.joint_high, motors, legs.stance, legs.lying)


def foot_sensor(foot: str, kind: Literal["contact", "position", "velocity"]) -> str:
    """The name of a foot's sensor, under a prefix of its own: a joint may have the foot's name."""
    return f"foot/{foot}_{kind}"


def _foot_frame(foot: str) -> str:
    return f"foot/{foot}"


def foot_place(legs: Legs, model: mujoco.MjModel, data: mujoco.MjData, foot: str) -> tuple[Array, int]:
    """Where a foot is in the world [3], m, and the body that it is on; `model` is a world of the robot."""
    if any(sole.foot == foot for sole in legs.soles):
        site = int(model.site(_foot_frame(foot)).id)
        return np.array(data.site_xpos[site]), int(model.site_bodyid[site])
    geom = int(model.geom(foot).id)
    return np.array(data.geom_xpos[geom]), int(model.geom_bodyid[geom])
