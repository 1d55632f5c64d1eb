"""What a legged robot is, beside its MJCF: names, order, gains, poses and mirror symmetry."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.errors import UserError
from policies.specs import JointSpec, MotorSpec


@dataclass(frozen=True)
class Mirror:
    """Reflection of the robot in its sagittal (x-z) plane, as joint order and signs.

    `joint_from[i]` is the joint whose value, times `joint_sign[i]`, joint i takes in the mirrored robot; likewise
    `foot_from` for the feet. Both must be involutions: mirrored twice is as it was.
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
                    f"each other, or mirroring twice is no identity; got {sign:g} and {back:g}"
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
class LeggedRobot:
    """A legged robot with position-controlled joints; every tuple is in the order of `joints`.

    A joint's motor gives stiffness * (target - q) - damping * qd, limited to +-torque_limit.
    """

    name: str
    mjcf: Callable[[], str]
    """The robot alone, as MJCF text: no floor, no light; built when it is asked for."""
    base: str
    """The floating base's body, with a free joint; the IMU's sensors are read in its frame or its IMU site's."""
    joints: tuple[str, ...]
    """Joint names in the policy's order."""
    feet: tuple[str, ...]
    """Names of the feet's geoms, which may touch the ground."""
    stance: tuple[float, ...]
    """Joint positions in rad that the robot stands in and that the action 0 commands."""
    stand_height: float
    """Height of the base's origin above flat ground in the stance, in m."""
    stiffness: tuple[float, ...]
    """Nm/rad."""
    damping: tuple[float, ...]
    """Nm s/rad."""
    torque_limit: tuple[float, ...]
    """Nm."""
    joint_low: tuple[float, ...]
    joint_high: tuple[float, ...]
    """Limits of travel in rad."""
    joint_speed: tuple[float, ...]
    """Largest joint speeds in rad/s."""
    action_scale: tuple[float, ...]
    """Change of the target in rad that the action 1 commands."""
    mirror: Mirror
    lying: tuple[float, ...]
    """Joint positions in rad in which the robot lies at rest."""

    @property
    def joint_spec(self) -> JointSpec:
        """What a bundle says of the joints."""
        motors = MotorSpec(self.stiffness, self.damping, self.torque_limit)
        return JointSpec(self.joints, self.joint_low, self.joint_high, motors, self.stance, self.lying)

    def __post_init__(self) -> None:
        self._check_names()
        self._check_lengths()
        for field in ("stiffness", "torque_limit", "joint_speed", "action_scale"):
            self._check_bound(field, getattr(self, field), above=True)
        self._check_bound("damping", self.damping, above=False)
        if not (math.isfinite(self.stand_height) and self.stand_height > 0):
            raise UserError(f"robot {self.name}: stand_height must be above 0 m, got {self.stand_height}")
        for joint, low, high in zip(self.joints, self.joint_low, self.joint_high, strict=True):
            if not low < high:
                raise UserError(f"robot {self.name}: joint_low of {joint} must be below joint_high, got {low}, {high}")
        for field in ("stance", "lying"):
            rows = zip(self.joints, getattr(self, field), self.joint_low, self.joint_high, strict=True)
            for joint, value, low, high in rows:
                if not low <= value <= high:
                    raise UserError(f"robot {self.name}: {field} of {joint} must be in [{low}, {high}], got {value}")

    def _check_names(self) -> None:
        for field in ("joints", "feet"):
            names = getattr(self, field)
            if not names:
                raise UserError(f"robot {self.name}: {field} must name at least one")
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise UserError(f"robot {self.name}: {field} names {', '.join(twice)} twice")

    def _check_lengths(self) -> None:
        count = len(self.joints)
        limits = ("stiffness", "damping", "torque_limit", "joint_low", "joint_high", "joint_speed", "action_scale")
        for field in ("stance", "lying", *limits):
            if len(getattr(self, field)) != count:
                raise UserError(
                    f"robot {self.name}: {field} needs {count} values, one per joint, got {len(getattr(self, field))}"
                )
        for field, found, wanted in (
            ("mirror.joint_from", len(self.mirror.joint_from), count),
            ("mirror.foot_from", len(self.mirror.foot_from), len(self.feet)),
        ):
            if found != wanted:
                raise UserError(f"robot {self.name}: {field} needs {wanted} values, got {found}")

    def _check_bound(self, field: str, values: Sequence[float], above: bool) -> None:
        for joint, value in zip(self.joints, values, strict=True):
            if not math.isfinite(value) or value < 0 or (above and value == 0):
                bound = "above 0" if above else "at least 0"
                raise UserError(f"robot {self.name}: {field} of {joint} must be {bound} and finite, got {value}")
