"""Quaternions w, x, y, z by the textbook formulas: what the rooms' own rotations are compared with."""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(q: Tensor, v: Tensor) -> Tensor:
    """Body vectors [N, 3] in the world frame, by unit quaternions [N, 4]: v + 2 w (u x v) + 2 u x (u x v)."""
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * torch.linalg.cross(u, v)
    turned: Tensor = v + w * t + torch.linalg.cross(u, t)
    return turned
