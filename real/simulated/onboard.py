"""The onboard controller: holds a point before the flight, and brings the vehicle down level when it is left alone.

Cascaded: position -> velocity -> acceleration -> direction of thrust -> body rates -> torques -> rotor speeds. It knows
the vehicle's own parameters, and makes up for the slow rotors with an internal model of their lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from real.ros.messages import Array, rotation_matrix
from sim.physics.rotor.parameters import GRAVITY, RotorParameters


@dataclass(frozen=True)
class OnboardGains:
    """Gains in 1/s, limits in SI units."""

    position: float = 1.5
    velocity: float = 2.5
    attitude: float = 6.0
    rate: float = 18.0
    yaw_rate: float = 4.0
    rotor: float = 30.0
    """Bandwidth that the rotors get through the lead of the command."""
    max_speed: float = 0.5
    max_acceleration: float = 2.5
    """Sideways, m/s^2: 2.5 is a tilt of 14 degrees."""
    descent_speed: float = 0.4


class OnboardController:
    """One vehicle's controller, called every `dt` s with its state [17] as the physics orders it."""

    def __init__(self, parameters: RotorParameters, dt: float, gains: OnboardGains | None = None) -> None:
        p = parameters
        self._p = p
        self._dt = dt
        self._gains = gains or OnboardGains()
        self._inertia = np.array(p.inertia)
        yaw = p.torque_per_thrust * np.array(p.yaw_sign)
        # Thrusts [4] -> total thrust and torques about x, y, z.
        self._mixer = np.linalg.inv(np.array([np.ones(4), p.rotor_y, -np.array(p.rotor_x), yaw]))
        self._rotors = np.full(4, p.hover_fraction * p.max_speed)

    def follow(self, command: Array) -> None:
        """Keep the model of the rotors in step while somebody else commands rotor speeds [4] rad/s."""
        constant = np.where(command > self._rotors, self._p.rise_time, self._p.fall_time)
        self._rotors += (command - self._rotors) * (1.0 - np.exp(-self._dt / constant))

    def hold(self, state: Array, point: Array) -> Array:
        """Rotor speeds [4] rad/s that keep the vehicle at `point` [3] m."""
        velocity = self._gains.position * (point - state[0:3])
        return self._command(state, _limit(velocity, self._gains.max_speed))

    def descend(self, state: Array) -> Array:
        """Rotor speeds [4] rad/s that stop sideways motion, level the vehicle and sink at the descent speed."""
        return self._command(state, np.array([0.0, 0.0, -self._gains.descent_speed]))

    def _command(self, state: Array, velocity: Array) -> Array:
        gains, p = self._gains, self._p
        rotation = rotation_matrix(state[3:7])
        acceleration = gains.velocity * (velocity - state[7:10])
        acceleration[0:2] = _limit(acceleration[0:2], gains.max_acceleration)
        acceleration[2] = np.clip(acceleration[2], -0.4 * GRAVITY, 0.3 * GRAVITY)
        force = acceleration + np.array([0.0, 0.0, GRAVITY])
        # Upside down the thrust would push the wrong way: then it only turns.
        thrust = p.mass * max(float(force @ rotation[:, 2]), 0.2 * GRAVITY)
        wanted_b = rotation.T @ (force / np.linalg.norm(force))
        turn = np.array([-wanted_b[1], wanted_b[0], 0.0])  # Body z x wanted direction.
        if wanted_b[2] < 0.0:
            turn /= max(float(np.linalg.norm(turn)), 1e-6)
        rate_error = gains.attitude * turn - state[10:13]
        torque = self._inertia * rate_error * np.array([gains.rate, gains.rate, gains.yaw_rate])
        thrusts = self._mixer @ np.array([thrust, *torque])
        command = self._lead(self._speeds(thrusts))
        self.follow(command)
        return command

    def _speeds(self, thrusts: Array) -> Array:
        """Rotor speeds [4] rad/s of thrusts [4] N: the positive root of the thrust polynomial."""
        c0, c1, c2 = self._p.thrust
        thrusts = np.clip(thrusts, c0, sum(self._p.thrust))
        share = (-c1 + np.sqrt(c1 * c1 - 4.0 * c2 * (c0 - thrusts))) / (2.0 * c2)
        speeds: Array = share * self._p.max_speed
        return speeds

    def _lead(self, wanted: Array) -> Array:
        constant = np.where(wanted > self._rotors, self._p.rise_time, self._p.fall_time)
        lead = np.maximum(constant * self._gains.rotor, 1.0)
        command: Array = np.clip(self._rotors + lead * (wanted - self._rotors), 0.0, self._p.max_speed)
        return command


def _limit(vector: Array, length: float) -> Array:
    norm = float(np.linalg.norm(vector))
    return vector if norm <= length else vector * (length / norm)
