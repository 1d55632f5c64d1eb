"""Rotations: orthogonality, the double cover, and agreement with the quaternion's own formula."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.terms.observations import RotationMatrix
from policies.terms.rotation import rotation_matrix
from tests.quaternions import rotate


def _quaternions(n: int = 128, seed: int = 0) -> Tensor:
    q = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(q, dim=-1)


def _vectors(n: int = 128) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_matrix_is_a_rotation() -> None:
    matrix = rotation_matrix(_quaternions()).reshape(-1, 3, 3)
    identity = torch.eye(3, dtype=torch.float64).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.transpose(1, 2), identity)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(128, dtype=torch.float64))


def test_both_signs_of_a_quaternion_are_one_orientation() -> None:
    q = _quaternions()
    term = RotationMatrix()
    plus = term(Sensors({"orientation": q}), State({}))
    minus = term(Sensors({"orientation": -q}), State({}))
    assert torch.equal(plus, minus)
    assert plus.shape == (128, term.dim)


def test_matrix_and_quaternion_turn_vectors_alike() -> None:
    q, v = _quaternions(), _vectors()
    by_matrix = (rotation_matrix(q).reshape(-1, 3, 3) @ v[:, :, None]).squeeze(-1)
    torch.testing.assert_close(rotate(q, v), by_matrix)
    torch.testing.assert_close(rotate(q, v).norm(dim=-1), v.norm(dim=-1))


def test_quarter_turn_about_z_takes_x_to_y() -> None:
    q = torch.tensor([[math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]], dtype=torch.float64)
    x, y, z = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(rotation_matrix(q).reshape(3, 3), torch.stack((y, -x, z), 1))
