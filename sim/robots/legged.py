"""What a legged robot is, beside its MJCF: names, order, gains, poses and mirror symmetry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mirror:
    """Reflection of the robot in its sagittal (x-z) plane, as joint order and signs.

    `joint_from[i]` is the joint whose value, times `joint_sign[i]`, joint i takes in the mirrored robot; likewise
    `foot_from` for the feet. Both must be involutions: mirrored twice is as it was.
    """

    joint_from: tuple[int, ...]
    joint_sign: tuple[float, ...]
    foot_from: tuple[int, ...]


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
