"""Rotations from quaternions [N, 4] as w, x, y, z, which turn body coordinates into world coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

Quaternion = tuple[float, float, float, float]

# Row i * 4 + j holds the factors of the product q_i q_j in the nine entries of the rotation matrix minus identity.
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

    One outer product and one matrix product have far fewer nodes to differentiate than nine separate entries.
    """
    products = (q[:, :, None] * q[:, None, :]).flatten(1)
    return torch.addmm(_IDENTITY.to(q), products, _PRODUCTS.to(q))


_OFFSET, _SCALE = torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([[2.0, -2.0, 2.0]])


def gravity_direction(q: Tensor) -> Tensor:
    """World -z in the body frame [N, 3] for unit quaternions [N, 4]: the negated last row of the rotation matrix."""
    w, x, y, z = q.split(1, -1)
    # Fused products and a single scaling: it is evaluated several times in every step of thousands of worlds.
    halves = torch.cat(
        (torch.addcmul(w * y, x, z, value=-1.0), torch.addcmul(y * z, w, x), torch.addcmul(x * x, y, y)), -1
    )
    return torch.addcmul(_OFFSET.to(q), halves, _SCALE.to(q))


def right_product(q: Quaternion) -> Tensor:
    """The matrix [4, 4] that maps a quaternion p, w x y z, to the product p q."""
    w, x, y, z = q
    return torch.tensor([[w, -x, -y, -z], [x, w, z, -y], [y, -z, w, x], [z, y, -x, w]])


def conjugate(q: Quaternion) -> Quaternion:
    """The opposite turn."""
    return q[0], -q[1], -q[2], -q[3]


def turning(q: Quaternion) -> Tensor:
    """The matrix [3, 3] that multiplies rows of vectors, in axes that are turned by `q` against others, from the right
    and gives them in those others."""
    return rotation_matrix(torch.tensor([q])).view(3, 3).T.contiguous()


def turned(values: Tensor, matrix: Tensor) -> Tensor:
    """Rows of vectors [N, 3] times a matrix from `turning`."""
    return torch.addmm(torch.zeros(3).to(values), values, matrix.to(values))
