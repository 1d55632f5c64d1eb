"""Kinematics of a model in a pose, and the mirror symmetry of a legged robot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from sim.robots.legs import Mirror

Array = NDArray[np.float64]
SAME_PLACE = 0.02
"""Distance in m within which a joint or foot counts as the mirror image of another."""
_NAMED = "add mirror: [[FR_, FL_], ...] and mirror_sign: {JOINT: -1, ...} to the robot's spec"
SAME_LEVEL = 0.03
"""Height in m above the lowest foot up to which a leaf body's geom counts as a foot."""


def joint_limits(model: mujoco.MjModel, joint: str) -> tuple[float, float] | None:
    """Limits of travel in rad, None without."""
    j = model.joint(joint).id
    return (float(model.jnt_range[j, 0]), float(model.jnt_range[j, 1])) if model.jnt_limited[j] else None


def posed(model: mujoco.MjModel, pose: Mapping[str, float]) -> mujoco.MjData:
    """Kinematics with the base upright at the world's origin and the joints in `pose`, rad."""
    data = mujoco.MjData(model)
    for joint, value in pose.items():
        data.joint(joint).qpos[0] = value
    for j in range(model.njnt):
        if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE:
            start = int(model.jnt_qposadr[j])
            data.qpos[start : start + 7] = (0, 0, 0, 1, 0, 0, 0)
    mujoco.mj_forward(model, data)
    return data


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> float:
    """Height in m of the lowest point of a geom's own bounding box, or of a sphere or capsule itself."""
    size, turn = model.geom_size[geom], data.geom_xmat[geom].reshape(3, 3)
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
        return float(data.geom_xpos[geom, 2] - size[0])
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return float(data.geom_xpos[geom, 2] - abs(turn[2, 2]) * size[1] - size[0])
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    return float(data.geom_xpos[geom, 2] + turn[2] @ centre - np.abs(turn[2]) @ half)


def find_mirror(
    model: mujoco.MjModel, joints: Sequence[str], feet: Sequence[Sequence[int]], base: str, what: str
) -> Mirror:
    """The mirror image of each joint and foot, a group of geoms, in the base's x-z plane, by place and axis with all
    joints at 0.

    A turn by q about an axis a looks in the mirror like one by q about (-a_x, a_y, -a_z); whether the joint there
    turns about that axis or its opposite is the sign.
    """
    data = posed(model, {})
    body = model.body(base).id
    origin, turn = data.xpos[body], data.xmat[body].reshape(3, 3)
    ids = [model.joint(joint).id for joint in joints]
    anchors = [(data.xanchor[j] - origin) @ turn for j in ids]
    axes = [data.xaxis[j] @ turn for j in ids]
    joint_from: list[int] = []
    signs: list[float] = []
    for i, joint in enumerate(joints):
        place, axis = anchors[i] * (1, -1, 1), axes[i] * (-1, 1, -1)
        fits = [k for k in range(len(ids)) if abs(float(axes[k] @ axis)) > 0.99]
        best = _nearest(anchors, place, fits, joint_from)
        if best is None or np.linalg.norm(anchors[best] - place) > SAME_PLACE:
            raise UserError(
                f"{what}: joint {joint} has no mirror image in the base's x-z plane within {SAME_PLACE} m; {_NAMED}"
            )
        joint_from.append(best)
        signs.append(float(np.sign(axes[best] @ axis)))
    places = [(data.geom_xpos[list(foot)].mean(0) - origin) @ turn for foot in feet]
    foot_from: list[int] = []
    for place in places:
        foot_from.append(_nearest(places, place * (1, -1, 1), range(len(feet)), foot_from) or 0)
    names = [str(model.geom(foot[0]).name) for foot in feet]
    for kind, known, order in (("joint", list(joints), joint_from), ("foot", names, foot_from)):
        for i, k in enumerate(order):
            if order[k] != i:
                raise UserError(
                    f"{what}: {kind} {known[i]} looks like the mirror image of {known[k]}, and {known[k]} like that "
                    f"of {known[order[k]]}; {_NAMED}"
                )
    return Mirror(tuple(joint_from), tuple(signs), tuple(foot_from))


def _nearest(places: Sequence[Array], place: Array, among: Iterable[int], taken: Sequence[int]) -> int | None:
    """Which of the places is nearest; of those that are as near, one that is not taken."""
    return min(among, key=lambda k: (round(float(np.linalg.norm(places[k] - place)), 4), k in taken), default=None)


def named_mirror(
    pairs: Sequence[tuple[str, str]], signs: Mapping[str, float], joints: Sequence[str], feet: Sequence[str], what: str
) -> Mirror:
    """The mirror by names: a pair such as (FR_, FL_) says that names with one part mirror those with the other."""

    def partner(name: str, names: Sequence[str]) -> int:
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                if here in name and name.replace(here, there) in names:
                    return names.index(name.replace(here, there))
        return names.index(name)

    useless = [f"[{a}, {b}]" for a, b in pairs if not any(a in name or b in name for name in (*joints, *feet))]
    if useless:
        raise UserError(f"{what}: mirror has {', '.join(useless)}, which are in no name of {', '.join(joints)}")
    unknown = sorted(set(signs) - set(joints))
    if unknown:
        raise UserError(f"{what}: mirror_sign names {', '.join(unknown)}, which are not among its joints")
    return Mirror(
        tuple(partner(joint, joints) for joint in joints),
        tuple(float(signs.get(joint, 1.0)) for joint in joints),
        tuple(partner(foot, feet) for foot in feet),
    )
