"""The rotor equations once more in float64 numpy, written from the formulas, to check the kernels against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.robots.rotors import GRAVITY, RotorParameters

Array = NDArray[np.float64]


def rotation(q: Array) -> Array:
    """Rotation matrices [..., 3, 3] of unit quaternions [..., 4] w, x, y, z by Rodrigues' formula on the vector."""
    w, v = q[..., :1, None], q[..., 1:]
    # Column j of the matrix of "v cross" is v cross e_j.
    cross = np.swapaxes(np.cross(v[..., None, :], np.eye(3)), -1, -2)
    result: Array = np.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross
    return result


def derivative(s: Array, command: Array, p: RotorParameters, wrench: Array) -> Array:
    """Time derivative [..., 17] of states [..., 17] under commands [..., 4] and wrenches [..., 6]."""
    q, v, w, n = s[..., 3:7], s[..., 7:10], s[..., 10:13], s[..., 13:17]
    u = n / p.max_speed
    thrust = p.thrust[0] + p.thrust[1] * u + p.thrust[2] * u * u
    push = thrust[..., None] * np.array([0.0, 0.0, 1.0])
    arm = np.stack((p.rotor_x, p.rotor_y, np.zeros(4)), -1)
    drag = p.torque_per_thrust * np.array(p.yaw_sign)[:, None] * push
    torque = wrench[..., 3:] + (np.cross(arm, push) + drag).sum(-2)
    inertia = np.array(p.inertia)
    # q' = 1/2 q (0, w), by the quaternion product's scalar and vector part.
    scalar, vector = q[..., :1], q[..., 1:]
    turned = (-(vector * w).sum(-1, keepdims=True), scalar * w + np.cross(vector, w))
    lift = rotation(q)[..., 2] * thrust.sum(-1, keepdims=True)
    acceleration = (lift + wrench[..., :3]) / p.mass - [0.0, 0.0, GRAVITY]
    lag = np.where(command > n, p.rise_time, p.fall_time)
    return np.concatenate(
        (
            v,
            0.5 * np.concatenate(turned, -1),
            acceleration,
            (torque - np.cross(w, inertia * w)) / inertia,
            (command - n) / lag,
        ),
        -1,
    )


def rk4(s: Array, command: Array, p: RotorParameters, wrench: Array, dt: float) -> Array:
    k1 = derivative(s, command, p, wrench)
    k2 = derivative(s + 0.5 * dt * k1, command, p, wrench)
    k3 = derivative(s + 0.5 * dt * k2, command, p, wrench)
    k4 = derivative(s + dt * k3, command, p, wrench)
    following = s + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    following[..., 3:7] /= np.linalg.norm(following[..., 3:7], axis=-1, keepdims=True)
    following[..., 13:17] = following[..., 13:17].clip(0.0, p.max_speed)
    return following
