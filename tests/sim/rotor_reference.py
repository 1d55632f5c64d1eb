"""The rotor equations once more in float64 numpy, written from the formulas, to check the kernels against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.physics.rotor.parameters import GRAVITY, RotorParameters

Array = NDArray[np.float64]


def rotation(q: Array) -> Array:
    """Rotation matrix of a unit quaternion w, x, y, z by Rodrigues' formula on its vector part."""
    w, v = q[0], q[1:]
    cross = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    result: Array = np.eye(3) + 2.0 * w * cross + 2.0 * cross @ cross
    return result


def derivative(s: Array, command: Array, p: RotorParameters, wrench: Array) -> Array:
    q, v, w, n = s[3:7], s[7:10], s[10:13], s[13:17]
    u = n / p.max_speed
    thrust = p.thrust[0] + p.thrust[1] * u + p.thrust[2] * u * u
    torque = wrench[3:].copy()
    for i in range(4):
        push = np.array([0.0, 0.0, thrust[i]])
        torque += np.cross([p.rotor_x[i], p.rotor_y[i], 0.0], push) + p.yaw_sign[i] * p.torque_per_thrust * push
    inertia = np.array(p.inertia)
    # q' = 1/2 q (0, w), by the quaternion product's matrix.
    product = np.array(
        [
            [q[0], -q[1], -q[2], -q[3]],
            [q[1], q[0], -q[3], q[2]],
            [q[2], q[3], q[0], -q[1]],
            [q[3], -q[2], q[1], q[0]],
        ]
    )
    acceleration = rotation(q) @ [0.0, 0.0, thrust.sum()] / p.mass + wrench[:3] / p.mass - [0.0, 0.0, GRAVITY]
    lag = np.where(command > n, p.rise_time, p.fall_time)
    return np.concatenate(
        (
            v,
            0.5 * product @ np.array([0.0, *w]),
            acceleration,
            (torque - np.cross(w, inertia * w)) / inertia,
            (command - n) / lag,
        )
    )


def rk4(s: Array, command: Array, p: RotorParameters, wrench: Array, dt: float) -> Array:
    k1 = derivative(s, command, p, wrench)
    k2 = derivative(s + 0.5 * dt * k1, command, p, wrench)
    k3 = derivative(s + 0.5 * dt * k2, command, p, wrench)
    k4 = derivative(s + dt * k3, command, p, wrench)
    following = s + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    following[3:7] /= np.linalg.norm(following[3:7])
    following[13:17] = following[13:17].clip(0.0, p.max_speed)
    return following
