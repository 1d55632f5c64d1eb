"""From the orientation that an IMU reports to that of the robot's body, where the IMU is turned on it."""

from __future__ import annotations

import numpy as np

from real.contract.robot import Array

Mount = tuple[float, float, float, float]


def body_orientation(orientation: Array, imu: Mount | None) -> Array:
    """Body to world, w x y z, of an orientation [4] of an IMU whose axes are turned by `imu` in the body's frame."""
    if imu is None:
        return orientation
    w, x, y, z = (float(value) for value in orientation)
    a, b, c, d = imu[0], -imu[1], -imu[2], -imu[3]
    return np.array(
        (
            w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        )
    )  # fmt: skip
