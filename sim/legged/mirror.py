"""The mirror of a legged robot's signals, from its joints' mirror and the kind of each signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch

from policies.errors import UserError
from policies.graph.symmetry import LinearMirror, SignalMirror, SignedPermutation
from policies.terms.rotation import Quaternion, conjugate, right_product, turning
from sim.robots.legs import Legs, Mirror
from sim.robots.robot import Robot

Kind = Literal["same", "vector", "axial", "quaternion", "planar", "joints", "joint_sizes", "feet", "feet_vectors"]
"""How a signal looks in a mirror at the x-z plane:

same          unchanged: a mass, a height, a friction
vector        x, y, z of a velocity, force or position: y changes its sign
axial         x, y, z of an angular velocity or torque: x and z change their signs
quaternion    w, x, y, z of an orientation: x and z change their signs
planar        forward, left, yaw of a command: left and yaw change their signs
joints        an angle, speed or torque of each joint
joint_sizes   a size of each joint that has no direction, as a motor's strength
feet          a number for each foot
feet_vectors  x, y, z for each foot in turn
"""

SENSORS: dict[str, Kind] = {
    "orientation": "quaternion", "angular_velocity": "axial", "linear_acceleration": "vector",
    "joint_position": "joints", "joint_velocity": "joints", "velocity_command": "planar",
}  # fmt: skip
TRUTH: dict[str, Kind] = {
    **SENSORS, "base_position": "vector", "linear_velocity": "vector", "joint_torque": "joints",
    "foot_contact": "feet", "foot_position": "feet_vectors", "foot_velocity": "feet_vectors",
}  # fmt: skip


def legged_mirror(
    robot: Robot,
    sensors: Mapping[str, Kind | SignedPermutation] | None = None,
    truth: Mapping[str, Kind | SignedPermutation] | None = None,
) -> SignalMirror:
    """The mirror of `robot`'s signals and of its action, one target for each joint.

    `sensors` and `truth` add to, or replace, what `SENSORS` and `TRUTH` say by name; a height scan's own grid needs a
    SignedPermutation. Raises UserError when the robot's mirror is not an involution.
    """
    kinds = {**SENSORS, **(sensors or {})}, {**TRUTH, **(sensors or {}), **(truth or {})}
    mirror = robot.part(Legs).mirror
    own, true = ({name: _of_kind(kind, mirror, name) for name, kind in part.items()} for part in kinds)
    seen: dict[str, SignedPermutation | LinearMirror | None] = {**own}
    if robot.imu is not None:
        seen |= {name: _mounted(name, robot.imu) for name in ("orientation", "angular_velocity", "linear_acceleration")}
    action = _of_kind("joints", mirror, "action")
    assert isinstance(action, SignedPermutation)
    return SignalMirror(seen, action, true)


_FIXED: dict[str, tuple[float, ...]] = {
    "vector": (1.0, -1.0, 1.0), "axial": (-1.0, 1.0, -1.0), "quaternion": (1.0, -1.0, 1.0, -1.0),
    "planar": (1.0, -1.0, -1.0),
}  # fmt: skip


def _mounted(name: str, imu: Quaternion) -> LinearMirror:
    """The mirror of what an IMU measures in axes that are turned by `imu` against the base: turned into the base's,
    mirrored, turned back."""
    signs = torch.diag(torch.tensor(_FIXED[str(SENSORS[name])]))
    if SENSORS[name] == "quaternion":
        matrix = right_product(imu) @ signs @ right_product(conjugate(imu))
    else:
        matrix = turning(imu) @ signs @ turning(imu).T
    return LinearMirror(tuple(tuple(row) for row in matrix.tolist()))


def _of_kind(kind: Kind | SignedPermutation, mirror: Mirror, name: str) -> SignedPermutation | None:
    if isinstance(kind, SignedPermutation):
        return kind
    joints, feet = mirror.joint_from, mirror.foot_from
    if kind == "same":
        return None
    if kind in _FIXED:
        return SignedPermutation(tuple(range(len(_FIXED[kind]))), _FIXED[kind])
    if kind == "joints":
        return SignedPermutation(tuple(joints), tuple(mirror.joint_sign))
    if kind == "joint_sizes":
        return SignedPermutation(tuple(joints), (1.0,) * len(joints))
    if kind == "feet":
        return SignedPermutation(tuple(feet), (1.0,) * len(feet))
    if kind == "feet_vectors":
        return SignedPermutation(
            tuple(3 * foot + axis for foot in feet for axis in range(3)), _FIXED["vector"] * len(feet)
        )
    raise UserError(f"signal {name!r} has the mirror kind {kind!r}; kinds: {', '.join(get_args(Kind))}")
