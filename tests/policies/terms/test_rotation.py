"""Rotations: orthogonality, the double cover, composition, and agreement between the three forms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from policies.signals import Sensors, State
from policies.terms.observations import RotationMatrix
from policies.terms.rotation import from_rotation_vector, multiply, rotate, rotation_matrix


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


def test_product_turns_by_its_right_factor_first() -> None:
    a, b, v = _quaternions(seed=1), _quaternions(seed=2), _vectors()
    torch.testing.assert_close(rotate(multiply(a, b), v), rotate(a, rotate(b, v)))


def test_quarter_turn_about_z_takes_x_to_y() -> None:
    q = from_rotation_vector(torch.tensor([[0.0, 0.0, math.pi / 2]], dtype=torch.float64))
    expected = torch.tensor([[math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]], dtype=torch.float64)
    torch.testing.assert_close(q, expected)
    turned = rotate(q, torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(turned, torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64))


def test_rotation_vectors_are_unit_quaternions_down_to_zero() -> None:
    scales = torch.tensor([0.0, 1e-12, 1e-6, 1.0, 3.0], dtype=torch.float64)[:, None]
    vectors = (scales * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)).requires_grad_()
    q = from_rotation_vector(vectors)
    torch.testing.assert_close(q.norm(dim=-1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(2 * torch.acos(q[3:, 0].clamp(-1, 1)), scales[3:, 0])
    q[0].sum().backward()
    assert vectors.grad is not None
    assert bool(torch.isfinite(vectors.grad).all())
