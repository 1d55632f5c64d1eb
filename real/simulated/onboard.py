"""The onboard controller: holds a point before the flight, and descends level when the host is silent.

It is the cascade of `sim.controllers` with the vehicle's own parameters, true state and rotor speeds, which a real one
has to estimate.
"""

from __future__ import annotations

import numpy as np
import torch

from real.ros.messages import Array
from sim.controllers.cascaded import Cascade, CascadeGains
from sim.physics.rotor.physics import parameter_row
from sim.robots.rotors import RotorParameters

DESCENT_SPEED = 0.4
"""m/s."""


class OnboardController:
    """One vehicle's controller, called with its state [17] as the physics orders it; it has no state."""

    def __init__(self, parameters: RotorParameters) -> None:
        self._cascade = Cascade(parameters, CascadeGains())
        self._dynamics = parameter_row(parameters)
        self._highest = parameters.max_speed
        self._nothing = torch.zeros(1, 3)

    def hold(self, state: Array, point: Array) -> Array:
        """Rotor speeds [4] rad/s that keep the vehicle at `point` [3] m."""
        return self._command(state, state[0:3] - point, np.zeros(3))

    def descend(self, state: Array) -> Array:
        """Rotor speeds [4] rad/s that stop sideways motion, level the vehicle and sink at the descent speed."""
        return self._command(state, np.zeros(3), np.array([0.0, 0.0, -DESCENT_SPEED]))

    @torch.no_grad()
    def _command(self, state: Array, position_error: Array, velocity: Array) -> Array:
        row = torch.from_numpy(np.concatenate((state, position_error, state[7:10] - velocity)).astype(np.float32))[None]
        acceleration = self._cascade.acceleration(row[:, 17:20], row[:, 20:23], self._nothing)
        command = self._cascade.rotor_speed(
            acceleration, row[:, 3:7], row[:, 10:13], row[:, 13:17], self._nothing, self._dynamics
        )
        # Single precision may round the highest speed up; a command must not exceed its limits even by rounding.
        speeds: Array = np.minimum(command[0].numpy().astype(np.float64), self._highest)
        return speeds
