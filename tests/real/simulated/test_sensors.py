"""The simulated sensors: the noise is the published one, and no noise is the truth."""

from __future__ import annotations

import numpy as np

from real.ros.messages import Array
from real.simulated.sensors import (
    ANGULAR_VELOCITY_NOISE,
    LINEAR_VELOCITY_NOISE,
    ORIENTATION_NOISE,
    POSITION_NOISE,
    NoisySensors,
)

STATE: Array = np.array([1.0, 2.0, 3.0, 0.5, 0.5, 0.5, 0.5, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, *[1500.0] * 4])
GRAVITY = np.array([0.0, 0.0, 9.81])


def test_without_noise_they_are_exact() -> None:
    odometry, imu = NoisySensors(0, 0.0).measure(STATE, GRAVITY, 7)
    assert odometry.stamp == imu.stamp == 7
    np.testing.assert_allclose(odometry.position, STATE[0:3])
    np.testing.assert_allclose(odometry.orientation, STATE[3:7])
    np.testing.assert_allclose(odometry.linear_velocity, STATE[7:10])
    np.testing.assert_allclose(imu.angular_velocity, STATE[10:13])
    np.testing.assert_allclose(imu.linear_acceleration, GRAVITY)


def test_the_noise_has_the_published_size() -> None:
    sensors = NoisySensors(1, 1.0)
    drawn = [sensors.measure(STATE, GRAVITY, 0) for _ in range(2000)]
    position = np.array([odometry.position for odometry, _ in drawn])
    velocity = np.array([odometry.linear_velocity for odometry, _ in drawn])
    rates = np.array([imu.angular_velocity for _, imu in drawn])
    quaternions = np.array([odometry.orientation for odometry, _ in drawn])
    for values, sigma in (
        (position - STATE[0:3], POSITION_NOISE),
        (velocity - STATE[7:10], LINEAR_VELOCITY_NOISE),
        (rates - STATE[10:13], ANGULAR_VELOCITY_NOISE),
    ):
        np.testing.assert_allclose(values.std(0), sigma, rtol=0.1)
        np.testing.assert_allclose(values.mean(0), 0.0, atol=0.1 * sigma)
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0)
    angles = 2.0 * np.linalg.norm(quaternions - STATE[3:7], axis=1)
    np.testing.assert_allclose(np.sqrt((angles**2).mean()), np.sqrt(3.0) * ORIENTATION_NOISE, rtol=0.1)
