"""What a robot is: its model, joints, motors and sensors, and the parts that a family of robots adds.

A part (legs, a gripper, wheels, rotors) is data in a class of its own. Code of a family asks for its part
(`robot.part(Legs)`), the world's builder for what every part declares: motors, frames and sensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar

from policies.errors import UserError

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
P = TypeVar("P", bound="Part")


@dataclass(frozen=True)
class Motor:
    """The motor of one joint, which gives at most +-`limit` (Nm, or N for a slide).

    Controlled by `position` it gives stiffness * (command - q) - damping * qd, by `velocity` damping * (command - qd).
    """

    joint: str
    stiffness: float
    """Nm/rad, or N/m for a slide."""
    damping: float
    """Nm s/rad, or N s/m."""
    limit: float
    control: Literal["position", "velocity"] = "position"


@dataclass(frozen=True)
class Frame:
    """A frame fixed to a `body`, or to the body of a `geom` at its centre."""

    body: str = ""
    geom: str = ""
    position: Vector = (0.0, 0.0, 0.0)
    """In the body's frame, m."""
    orientation: Quaternion = (1.0, 0.0, 0.0, 0.0)
    """In the body's frame, w, x, y, z."""


@dataclass(frozen=True)
class ModelSensor:
    """A sensor of the simulated robot. `of` is a frame of its part, the geom of a `contact` or the body of a
    `link_contact`.

    contact           above 0 while the geom touches anything
    link_contact      above 0 while any geom of the body, or of one on it, touches anything
    position          of the frame in the world, m
    orientation       of the frame in the world, w, x, y, z
    linear_velocity   of the frame, world axes, m/s
    angular_velocity  of the frame, world axes, rad/s
    """

    name: str
    kind: Literal["contact", "link_contact", "position", "orientation", "linear_velocity", "angular_velocity"]
    of: str


class Part:
    """What a family adds to a robot; the defaults add nothing to its model."""

    what: ClassVar[str]
    """What the part is called in messages."""

    @property
    def motors(self) -> tuple[Motor, ...]:
        """Motors beside those of the robot's own joints; their joints get the same sensors."""
        return ()

    @property
    def frames(self) -> Mapping[str, Frame]:
        """Frames by name."""
        return {}

    @property
    def sensors(self) -> tuple[ModelSensor, ...]:
        return ()

    def check(self, robot: Robot) -> None:
        """Raise UserError for what does not fit the robot."""


@dataclass(frozen=True)
class Robot:
    """One robot; every tuple of numbers is in the order of `joints`, which are position-controlled."""

    name: str
    mjcf: Callable[[], str]
    """The robot alone, as MJCF text: no floor, no light; built at its first use."""
    base: str
    """The body that the robot is built on. Where it has a free joint, it has an IMU: at the site "imu", or in the
    body's own frame."""
    joints: tuple[str, ...] = ()
    """Joint names in the policy's order."""
    stiffness: tuple[float, ...] = ()
    """Nm/rad."""
    damping: tuple[float, ...] = ()
    """Nm s/rad."""
    torque_limit: tuple[float, ...] = ()
    """Nm."""
    joint_low: tuple[float, ...] = ()
    joint_high: tuple[float, ...] = ()
    """Limits of travel in rad."""
    joint_speed: tuple[float, ...] = ()
    """Largest joint speeds in rad/s."""
    parts: tuple[Part, ...] = ()
    contacts: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    """Pairs of groups of geoms that may touch each other. All geoms that touch in the MJCF touch the ground, too."""
    imu: Quaternion | None = None
    """Orientation of the axes of the IMU in the frame of the base, w x y z, where they are not those of the base: the
    readings are along the IMU's own."""
    passive: tuple[tuple[str, float], ...] = ()
    """Joints that no motor moves, and where they are in the stance: (joint, rad or m)."""
    friction: tuple[tuple[str, float], ...] = ()
    """Sliding friction of the geoms that differ from the ground: (geom, coefficient)."""

    def __post_init__(self) -> None:
        check_names(self, "joints", self.joints)
        for field in ("stiffness", "damping", "torque_limit", "joint_low", "joint_high", "joint_speed"):
            self.check_length(field, getattr(self, field))
        for field in ("stiffness", "torque_limit", "joint_speed"):
            self.check_bound(field, getattr(self, field), above=True)
        self.check_bound("damping", self.damping, above=False)
        for joint, low, high in zip(self.joints, self.joint_low, self.joint_high, strict=True):
            for field, value in (("joint_low", low), ("joint_high", high)):
                if not math.isfinite(value):
                    raise UserError(
                        f"robot {self.name}: {field} of {joint} must be finite, as a bundle holds it, got {value}; "
                        "for a joint without stops give a turn or two, such as -6.3 and 6.3"
                    )
            if not low < high:
                raise UserError(f"robot {self.name}: joint_low of {joint} must be below joint_high, got {low}, {high}")
        for part in self.parts:
            part.check(self)
        check_names(self, "motors", [motor.joint for motor in self.motors])

    def part(self, kind: type[P]) -> P:
        """The robot's part of a kind; UserError where it has none."""
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise UserError(f"robot {self.name} has no {kind.what}")

    def has(self, kind: type[Part]) -> bool:
        return any(isinstance(part, kind) for part in self.parts)

    def with_part(self, new: Part) -> Robot:
        """This robot with another part of the same kind."""
        return replace(self, parts=tuple(new if type(part) is type(new) else part for part in self.parts))

    @property
    def motors(self) -> tuple[Motor, ...]:
        """All motors: those of the joints, then the parts'."""
        own = zip(self.joints, self.stiffness, self.damping, self.torque_limit, strict=True)
        return (*(Motor(*row) for row in own), *(motor for part in self.parts for motor in part.motors))

    def check_length(self, field: str, values: Sequence[float]) -> None:
        """UserError unless `values` has one for each joint."""
        if len(values) != len(self.joints):
            raise UserError(
                f"robot {self.name}: {field} needs {len(self.joints)} values, one per joint, got {len(values)}"
            )

    def check_bound(self, field: str, values: Sequence[float], above: bool) -> None:
        """UserError unless each joint's value is finite and at least 0, or `above` 0."""
        for joint, value in zip(self.joints, values, strict=True):
            if not math.isfinite(value) or value < 0 or (above and value == 0):
                bound = "above 0" if above else "at least 0"
                raise UserError(f"robot {self.name}: {field} of {joint} must be {bound} and finite, got {value}")

    def check_pose(self, field: str, pose: Sequence[float]) -> None:
        """UserError unless `pose` has a position for each joint, within its limits."""
        self.check_length(field, pose)
        for joint, value, low, high in zip(self.joints, pose, self.joint_low, self.joint_high, strict=True):
            if not low <= value <= high:
                raise UserError(f"robot {self.name}: {field} of {joint} must be in [{low}, {high}], got {value}")


def joint_sensor(joint: str, kind: Literal["position", "velocity", "torque"]) -> str:
    """The name of the sensor of a joint with a motor, under a prefix of its own: a joint may be called base or tool."""
    return f"joint/{joint}_{kind}"


def check_names(robot: Robot, field: str, names: Sequence[str]) -> None:
    """UserError for a name that is there twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"robot {robot.name}: {field} names {', '.join(twice)} twice")
