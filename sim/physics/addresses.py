"""Where a robot is in MuJoCo's positions and velocities: found once by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import torch
from torch import Tensor


@dataclass(frozen=True)
class Addresses:
    """Columns of a robot's base and joints in qpos [N, nq] and qvel [N, nv]."""

    position: slice
    """Of the base in qpos: m, world."""
    orientation: slice
    """Of the base in qpos: w, x, y, z."""
    velocity: slice
    """Of the base in qvel: m/s, world."""
    rates: slice
    """Of the base in qvel: rad/s, body."""
    joints: Tensor
    """Of the joints in qpos [J] int64."""
    dofs: Tensor
    """Of the joints in qvel [J] int64."""

    @staticmethod
    def of(model: mujoco.MjModel, base: str, joints: Sequence[str], device: str = "cpu") -> Addresses:
        """The robot with the floating body `base` and hinges or slides `joints`, in that order."""
        free = int(model.body(base).jntadr[0])
        if free < 0 or model.jnt_type[free] != mujoco.mjtJoint.mjJNT_FREE:
            raise ValueError(f"body {base!r} has no free joint")
        q, v = int(model.jnt_qposadr[free]), int(model.jnt_dofadr[free])
        ids = [model.joint(joint).id for joint in joints]
        return Addresses(
            slice(q, q + 3),
            slice(q + 3, q + 7),
            slice(v, v + 3),
            slice(v + 3, v + 6),
            torch.tensor(model.jnt_qposadr[ids], dtype=torch.int64, device=device),
            torch.tensor(model.jnt_dofadr[ids], dtype=torch.int64, device=device),
        )
