"""The vehicle's measurements: the true state with the published noise."""

from __future__ import annotations

import numpy as np

from real.ros.messages import Array, ImuSample, OdometrySample

POSITION_NOISE = 0.001  # m. Ref for all four: arXiv 2311.13081 and its public code.
ORIENTATION_NOISE = 0.001  # rad
LINEAR_VELOCITY_NOISE = 0.002  # m/s
ANGULAR_VELOCITY_NOISE = 0.002  # rad/s
ACCELERATION_NOISE = 0.05  # m/s^2; a small accelerometer, not of the reference.


class NoisySensors:
    """Draws measurements; `scale` multiplies every noise."""

    def __init__(self, seed: int, scale: float) -> None:
        self._random = np.random.default_rng(seed)
        self._scale = scale

    def measure(self, state: Array, specific_force: Array, stamp: int) -> tuple[OdometrySample, ImuSample]:
        """Odometry and IMU of the state [17] as the physics orders it; `stamp` ns on the robot's clock."""
        rates = state[10:13] + self._noise(ANGULAR_VELOCITY_NOISE)
        odometry = OdometrySample(
            stamp=stamp,
            position=state[0:3] + self._noise(POSITION_NOISE),
            orientation=turned(state[3:7], self._noise(ORIENTATION_NOISE)),
            linear_velocity=state[7:10] + self._noise(LINEAR_VELOCITY_NOISE),
            angular_velocity=rates,
        )
        return odometry, ImuSample(stamp, rates, specific_force + self._noise(ACCELERATION_NOISE))

    def _noise(self, sigma: float) -> Array:
        return self._random.normal(0.0, sigma, 3) * self._scale


def turned(q: Array, r: Array) -> Array:
    """The quaternion w, x, y, z turned by a small rotation vector [3] rad in the body frame."""
    w, u = q[0], q[1:4]
    half = 0.5 * r
    result = np.array([w - u @ half, *(u + w * half + np.cross(u, half))])
    return result / float(np.linalg.norm(result))
