"""Rotations. Quaternions are [..., 4] as w, x, y, z and turn body coordinates into world coordinates."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_matrix(q: Tensor) -> Tensor:
    """Rotation matrix of unit quaternions [N, 4], flattened row by row to [N, 9], body to world."""
    # Slices and one cat, not unbind and stack: the exported graph then needs no Squeeze and Unsqueeze of each value.
    w, x, y, z = q[..., 0:1], q[..., 1:2], q[..., 2:3], q[..., 3:4]
    xx, yy, zz, xy, xz, yz, wx, wy, wz = x * x, y * y, z * z, x * y, x * z, y * z, w * x, w * y, w * z
    rows = (
        1 - 2 * (yy + zz), 2 * (xy - wz), 2 * (xz + wy),
        2 * (xy + wz), 1 - 2 * (xx + zz), 2 * (yz - wx),
        2 * (xz - wy), 2 * (yz + wx), 1 - 2 * (xx + yy),
    )  # fmt: skip
    return torch.cat(rows, -1)


def rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotate body vectors [N, 3] into the world frame by unit quaternions [N, 4]."""
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * torch.linalg.cross(u, v)
    turned: Tensor = v + w * t + torch.linalg.cross(u, t)
    return turned


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of quaternions [N, 4]: the rotation `b` followed, in the world frame, by `a`."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        -1,
    )


def from_rotation_vector(r: Tensor) -> Tensor:
    """Unit quaternions of rotation vectors [N, 3] in radians, safe at zero."""
    angle = r.norm(dim=-1, keepdim=True)
    half = 0.5 * angle
    return torch.cat((torch.cos(half), 0.5 * r * torch.sinc(half / torch.pi)), -1)
