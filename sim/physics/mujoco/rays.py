"""Ray casts against what never moves: the ground and all other geoms fixed to the world."""

from __future__ import annotations

import copy

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from numpy.typing import NDArray
from torch import Tensor

_GROUPS = 6
_FIXED, _MOVING = 0, 5


class StaticRays:
    """Rays into the static part of `model`, which is the same in all worlds.

    Since no world's state matters, rays of all worlds are cast in one copy of the model per thread: no kinematics of
    thousands of robots, and a robot is never in the way of its own rays, whatever groups its geoms are in.
    """

    def __init__(self, model: mujoco.MjModel, threads: int) -> None:
        ground = copy.copy(model)
        fixed = np.asarray(model.body_weldid)[np.asarray(model.geom_bodyid)] == 0
        ground.geom_group[:] = np.where(fixed, _FIXED, _MOVING)
        self._shares = max(1, threads)
        self._batch = Batch(ground, nsim=self._shares, nthread=threads)
        self._groups = np.zeros(_GROUPS, dtype=np.uint8)
        self._groups[_FIXED] = 1

    def cast(self, points: Tensor, directions: Tensor) -> Tensor:
        """Distances [...] float32 from `points` [..., 3] m along `directions` [..., 3], world frame; -1 for a miss.

        The distance is in lengths of the direction: metres for unit vectors. Both broadcast.
        """
        start, along = (vectors.double().numpy() for vectors in (points, directions))
        shape = np.broadcast_shapes(start.shape, along.shape)
        if shape[-1:] != (3,):
            raise ValueError(f"points and directions must be [..., 3], got {start.shape} and {along.shape}")
        distance, _ = self._batch.ray(self._shared(start, shape), self._shared(along, shape), geomgroup=self._groups)
        rays = int(np.prod(shape[:-1]))
        return torch.from_numpy(distance.reshape(-1)[:rays].astype(np.float32)).reshape(shape[:-1])

    def _shared(self, vectors: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
        """All rays [shares, rays, 3], in equal shares; the last is filled up with copies of the first ray."""
        flat = np.broadcast_to(vectors, shape).reshape(-1, 3)
        missing = -len(flat) % self._shares
        if missing:
            flat = np.concatenate((flat, np.broadcast_to(flat[:1], (missing, 3))))
        return flat.reshape(self._shares, -1, 3)
