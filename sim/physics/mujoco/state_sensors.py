"""Reading a batch's sensors, with those that are plain functions of the state read off it: current at no cost."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import torch
import warp as wp
from mujoco.batch import Batch
from numpy.typing import NDArray
from torch import Tensor

from sim.physics.mujoco import kernels
from sim.physics.passes import StructPass
from sim.physics.runtime import start_warp

Array = NDArray[np.float64]
SPEED_LIMIT = 1000.0
"""Generalised speed (m/s or rad/s) beyond which a world has exploded, though it may still be finite."""


class StateSensors:
    """Reads all sensors of a batch; some follow from qpos and qvel alone.

    Those are joint positions and speeds and, of a body with a free joint, the orientation, rates, position and velocity
    of a site that lies along the body's axes (at its origin, for position and velocity). `complete` tells whether these
    are all of the model's sensors of orientation, rates, joints and velocity, so that no forward stage is needed.
    """

    def __init__(self, batch: Batch) -> None:
        model, kind = batch.model, mujoco.mjtSensor
        place, self._speeds = column_of(batch, "qpos"), column_of(batch, "qvel")
        copies: list[tuple[int, int]] = []
        velocities: list[tuple[int, int, int]] = []
        self.complete = True
        for i in range(model.nsensor):
            start, of = int(model.sensor_adr[i]), int(model.sensor_objid[i])
            sensor = int(model.sensor_type[i])
            if sensor == kind.mjSENS_JOINTPOS:
                copies.append((start, place + int(model.jnt_qposadr[of])))
            elif sensor == kind.mjSENS_JOINTVEL:
                copies.append((start, self._speeds + int(model.jnt_dofadr[of])))
            elif sensor in _OF_A_SITE:
                free = _free_joint(model, i)
                if free is None:
                    # The feet's own sensors may be a substep old.
                    self.complete &= sensor not in (kind.mjSENS_GYRO, kind.mjSENS_VELOCIMETER, kind.mjSENS_FRAMEQUAT)
                    continue
                qpos, qvel = place + int(model.jnt_qposadr[free]), self._speeds + int(model.jnt_dofadr[free])
                if sensor == kind.mjSENS_FRAMEQUAT:
                    copies += [(start + k, qpos + 3 + k) for k in range(4)]
                elif sensor == kind.mjSENS_GYRO:
                    copies += [(start + k, qvel + 3 + k) for k in range(3)]
                elif not np.allclose(model.site_pos[of], 0.0):
                    self.complete &= sensor != kind.mjSENS_VELOCIMETER
                elif sensor == kind.mjSENS_FRAMEPOS:
                    copies += [(start + k, qpos + k) for k in range(3)]
                else:
                    velocities.append((start, qpos + 3, qvel))
        start_warp()
        self._shape = (int(batch.nsim), int(model.nsensordata))
        constant = {
            "data": _live(batch.bind("sensordata")), "state": _live(batch.state), "copies": _table(_runs(copies)),
            "velocities": _table(velocities), "speeds": self._speeds, "count": int(model.nv),
            "warnings": _live(batch.warning.reshape(self._shape[0], -1), int), "speed_limit": SPEED_LIMIT,
            "enormous": _ENORMOUS,
        }  # fmt: skip
        self._read = StructPass(
            kernels.read_worlds, kernels.BatchRows, self._shape[0], "cpu", constant, results=("values", "sound")
        )

    def read(self) -> tuple[Tensor, Tensor]:
        """All sensors [N, nsensordata] float32, those that follow from the state up to it; and which worlds are sound.

        A world is sound [N] bool when all of its sensors are finite, no speed is beyond SPEED_LIMIT and MuJoCo has not
        warned.
        """
        values, sound = torch.empty(self._shape), torch.empty(self._shape[0], dtype=torch.bool)
        self._read({"values": values, "sound": sound})
        return values, sound


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


def _runs(pairs: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Pairs of columns (to, from) as the fewest runs (to, from, count)."""
    runs: list[tuple[int, int, int]] = []
    for at, of in sorted(pairs):
        if runs and (at, of) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((at, of, 1))
    return runs


def column_of(batch: Batch, field: str) -> int:
    """The first column of a state field in the batch's state rows."""
    bytes_before = int(batch.bind(field).ctypes.data) - int(batch.state.ctypes.data)
    return bytes_before // int(batch.state.itemsize)


def _live(values: NDArray[Any], dtype: Any = wp.float64) -> Any:
    """A batch's array [N, K] as Warp's: the same memory."""
    return wp.array(ptr=values.ctypes.data, shape=values.shape, dtype=dtype, device="cpu")


def _table(rows: list[tuple[int, int, int]]) -> Any:
    return wp.array(np.array(rows, np.int32).reshape(-1, 3), dtype=int, device="cpu")


_ENORMOUS = 1e9
