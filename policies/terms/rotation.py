"""Rotations. Quaternions are [..., 4] as w, x, y, z and turn body coordinates into world coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

# Row i * 4 + j holds how the product q_i q_j enters the nine entries of the rotation matrix, less the identity.
_PRODUCTS = torch.zeros(16, 9)
for _i, _j, _entry, _factor in (
    (2, 2, 0, -2), (3, 3, 0, -2), (1, 2, 1, 2), (0, 3, 1, -2), (1, 3, 2, 2), (0, 2, 2, 2),
    (1, 2, 3, 2), (0, 3, 3, 2), (1, 1, 4, -2), (3, 3, 4, -2), (2, 3, 5, 2), (0, 1, 5, -2),
    (1, 3, 6, 2), (0, 2, 6, -2), (2, 3, 7, 2), (0, 1, 7, 2), (1, 1, 8, -2), (2, 2, 8, -2),
):  # fmt: skip
    _PRODUCTS[4 * _i + _j, _entry] = _factor
_IDENTITY = torch.eye(3).flatten()


def rotation_matrix(q: Tensor) -> Tensor:
    """Rotation matrix of unit quaternions [N, 4], flattened row by row to [N, 9], body to world.

    One outer product and one matrix product: far fewer nodes to differentiate than entry by entry.
    """
    products = (q[:, :, None] * q[:, None, :]).flatten(1)
    return torch.addmm(_IDENTITY.to(q), products, _PRODUCTS.to(q))


_OFFSET, _SCALE = torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([[2.0, -2.0, 2.0]])


def gravity_direction(q: Tensor) -> Tensor:
    """World -z in the body frame [N, 3] for unit quaternions [N, 4]: the rotation matrix's last row, turned round."""
    w, x, y, z = q.split(1, -1)
    # Fused products and a single scaling: this is reckoned several times in every step of thousands of worlds.
    halves = torch.cat(
        (torch.addcmul(w * y, x, z, value=-1.0), torch.addcmul(y * z, w, x), torch.addcmul(x * x, y, y)), -1
    )
    return torch.addcmul(_OFFSET.to(q), halves, _SCALE.to(q))


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
