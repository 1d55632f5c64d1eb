"""Sensors that are plain functions of the state, read off it: current after a step at no cost."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class StateSensors:
    """Which sensors of a model follow from qpos and qvel alone.

    These are joint positions and speeds and, of a body with a free joint, the orientation, rates, position and velocity
    of a site that lies along the body's axes (at its origin, for position and velocity). `complete` tells whether these
    are all of the model's sensors of orientation, rates, joints and velocity, so that no forward stage is needed.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        kind = mujoco.mjtSensor
        position: list[tuple[int, int]] = []
        speed: list[tuple[int, int]] = []
        self._velocity: list[tuple[slice, int, int]] = []
        self.complete = True
        for i in range(model.nsensor):
            start, of = int(model.sensor_adr[i]), int(model.sensor_objid[i])
            sensor = int(model.sensor_type[i])
            if sensor == kind.mjSENS_JOINTPOS:
                position.append((start, int(model.jnt_qposadr[of])))
            elif sensor == kind.mjSENS_JOINTVEL:
                speed.append((start, int(model.jnt_dofadr[of])))
            elif sensor in _OF_A_SITE:
                free = _free_joint(model, i)
                if free is None:
                    # The feet's own sensors may be a substep old.
                    self.complete &= sensor not in (kind.mjSENS_GYRO, kind.mjSENS_VELOCIMETER, kind.mjSENS_FRAMEQUAT)
                    continue
                qpos, qvel = int(model.jnt_qposadr[free]), int(model.jnt_dofadr[free])
                if sensor == kind.mjSENS_FRAMEQUAT:
                    position += [(start + k, qpos + 3 + k) for k in range(4)]
                elif sensor == kind.mjSENS_GYRO:
                    speed += [(start + k, qvel + 3 + k) for k in range(3)]
                elif not np.allclose(model.site_pos[of], 0.0):
                    self.complete &= sensor != kind.mjSENS_VELOCIMETER
                elif sensor == kind.mjSENS_FRAMEPOS:
                    position += [(start + k, qpos + k) for k in range(3)]
                else:
                    self._velocity.append((slice(start, start + 3), qpos + 3, qvel))
        self._position, self._speed = _runs(position), _runs(speed)

    def write(self, values: NDArray[np.floating[Any]], qpos: Array, qvel: Array) -> None:
        """Bring these sensors of `values` [N, nsensordata] up to the state [N, nq] and [N, nv]."""
        for at, of in self._position:
            values[:, at] = qpos[:, of]
        for at, of in self._speed:
            values[:, at] = qvel[:, of]
        for columns, quaternion, velocity in self._velocity:
            values[:, columns] = _rotate_inverse(qpos[:, quaternion : quaternion + 4], qvel[:, velocity : velocity + 3])


_OF_A_SITE = (
    mujoco.mjtSensor.mjSENS_FRAMEQUAT, mujoco.mjtSensor.mjSENS_GYRO, mujoco.mjtSensor.mjSENS_FRAMEPOS,
    mujoco.mjtSensor.mjSENS_VELOCIMETER,
)  # fmt: skip


def _free_joint(model: mujoco.MjModel, sensor: int) -> int | None:
    """The free joint of the body that a site's sensor is on, if the site lies along the body's axes."""
    if model.sensor_objtype[sensor] != mujoco.mjtObj.mjOBJ_SITE or model.sensor_refid[sensor] >= 0:
        return None
    site = int(model.sensor_objid[sensor])
    body = int(model.site_bodyid[site])
    if model.body_jntnum[body] != 1 or not np.allclose(model.site_quat[site], (1.0, 0.0, 0.0, 0.0)):
        return None
    joint = int(model.body_jntadr[body])
    return joint if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE else None


def _runs(pairs: list[tuple[int, int]]) -> list[tuple[slice, slice]]:
    """Pairs of columns (to, from) as the fewest pairs of slices: a slice is copied at a tenth of the cost."""
    runs: list[list[int]] = []
    for at, of in sorted(pairs):
        if runs and (at, of) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1][2] += 1
        else:
            runs.append([at, of, 1])
    return [(slice(at, at + count), slice(of, of + count)) for at, of, count in runs]


def _rotate_inverse(quaternion: Array, vector: Array) -> NDArray[np.float32]:
    """Vectors [N, 3] from world to body axes by unit quaternions w, x, y, z [N, 4]."""
    real = quaternion[:, 0].astype(np.float32)
    axis, v = _around(quaternion[:, 1:].T), _around(vector.T)
    twice = _around(2.0 * _cross(v, axis))
    turned = v[:3] + real * twice[:3]
    turned += _cross(twice, axis)
    return turned.T


def _around(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """x, y, z, x, y [5, N] of x, y, z [3, N]: so that each axis's next two follow it."""
    result = np.empty((5, rows.shape[1]), np.float32)
    result[:3] = rows
    result[3:] = result[:2]
    return result


def _cross(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cross products [3, N] of vectors as `_around` gives them [5, N]."""
    product = a[1:4] * b[2:5]
    product -= a[2:5] * b[1:4]
    return product
