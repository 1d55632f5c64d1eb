"""Collision shapes of MuJoCo's geoms in Bullet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError

Array = NDArray[np.float64]
PLANE, HFIELD, SPHERE, CAPSULE, CYLINDER, BOX = (
    int(t) for t in (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD, mujoco.mjtGeom.mjGEOM_SPHERE,
                     mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX)
)  # fmt: skip


def to_xyzw(quaternion: Array) -> list[float]:
    """w, x, y, z -> Bullet's x, y, z, w."""
    w, x, y, z = (float(v) for v in quaternion)
    return [x, y, z, w]


def to_wxyz(quaternion: Sequence[float]) -> Array:
    """Bullet's x, y, z, w -> w, x, y, z."""
    x, y, z, w = quaternion
    return np.array([w, x, y, z])


def moving_shape(bullet: Any, client: int, model: mujoco.MjModel, geoms: Sequence[int], offset: Array) -> int:
    """One compound of `geoms` of a body whose origin lies at `offset` [3] m in the link's frame; -1 for no geom."""
    if not geoms:
        return -1
    arguments: dict[str, list[Any]] = {"shapeTypes": [], "radii": [], "halfExtents": [], "lengths": []}
    for geom in geoms:
        kind, radius, half, length = _primitive(bullet, model, geom)
        arguments["shapeTypes"].append(kind)
        arguments["radii"].append(radius)
        arguments["halfExtents"].append(half)
        arguments["lengths"].append(length)
    return int(
        bullet.createCollisionShapeArray(
            **arguments,
            collisionFramePositions=[list(offset + model.geom_pos[g]) for g in geoms],
            collisionFrameOrientations=[to_xyzw(model.geom_quat[g]) for g in geoms],
            physicsClientId=client,
        )
    )


def static_body(bullet: Any, client: int, model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> int:
    """A body without mass for one geom welded to the world, placed as in `data`; its number in Bullet."""
    position, quaternion = data.geom_xpos[geom].copy(), np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, data.geom_xmat[geom])
    kind = int(model.geom_type[geom])
    if kind == PLANE:
        shape = bullet.createCollisionShape(bullet.GEOM_PLANE, planeNormal=[0, 0, 1], physicsClientId=client)
    elif kind == HFIELD:
        shape, lift = _height_field(bullet, client, model, geom)
        position = position + data.geom_xmat[geom].reshape(3, 3)[:, 2] * lift
    else:
        box, radius, half, length = _primitive(bullet, model, geom)
        shape = bullet.createCollisionShape(box, radius=radius, halfExtents=half, height=length, physicsClientId=client)
    return int(
        bullet.createMultiBody(
            baseMass=0.0,
            baseCollisionShapeIndex=shape,
            basePosition=list(position),
            baseOrientation=to_xyzw(quaternion),
            physicsClientId=client,
        )
    )


def _primitive(bullet: Any, model: mujoco.MjModel, geom: int) -> tuple[int, float, list[float], float]:
    """Bullet's type, radius m, half extents m and length m of a sphere, box, capsule or cylinder along z."""
    size = [float(s) for s in model.geom_size[geom]]
    kind = int(model.geom_type[geom])
    if kind == SPHERE:
        return bullet.GEOM_SPHERE, size[0], [0.0] * 3, 0.0
    if kind == BOX:
        return bullet.GEOM_BOX, 0.0, size, 0.0
    if kind == CAPSULE:
        return bullet.GEOM_CAPSULE, size[0], [0.0] * 3, 2.0 * size[1]
    if kind == CYLINDER:
        return bullet.GEOM_CYLINDER, size[0], [0.0] * 3, 2.0 * size[1]
    name = mujoco.mjtGeom(kind).name.removeprefix("mjGEOM_").lower()
    raise UserError(
        f"the pybullet backend has no shape {name} of a moving body (geom {model.geom(geom).name!r}); "
        "use spheres, capsules, cylinders and boxes, or the mujoco backend"
    )


def _height_field(bullet: Any, client: int, model: mujoco.MjModel, geom: int) -> tuple[int, float]:
    """The shape, and the height in m of its frame, in the middle of its heights, above MuJoCo's frame, at height 0."""
    field = int(model.geom_dataid[geom])
    rows, columns = int(model.hfield_nrow[field]), int(model.hfield_ncol[field])
    first = int(model.hfield_adr[field])
    half_x, half_y, height, _ = (float(s) for s in model.hfield_size[field])
    heights = model.hfield_data[first : first + rows * columns] * height
    shape = bullet.createCollisionShape(
        bullet.GEOM_HEIGHTFIELD,
        meshScale=[2.0 * half_x / (columns - 1), 2.0 * half_y / (rows - 1), 1.0],
        heightfieldData=[float(h) for h in heights],
        numHeightfieldRows=columns,
        numHeightfieldColumns=rows,
        physicsClientId=client,
    )
    return int(shape), 0.5 * float(heights.min() + heights.max())
