"""A cascaded PID on a quadrotor's own sensors: the baseline that a learned controller has to beat.

It adds to the cascade what replaces privileged knowledge: an integral of the position error against constant
disturbances, and an estimate of the rotor speeds from its own commands. It assumes the nominal vehicle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from policies.signals import Commands, Sensors
from sim.controllers.cascaded import Cascade, CascadeGains
from sim.physics.rotor.physics import parameter_row
from sim.robots.rotors import RotorParameters


@dataclass(frozen=True)
class PidGains:
    """`cascade` as for the teacher; `integral` 1/s^3 and its limit `max_integral` m/s^2 of acceleration; `feed_forward`
    is the share of the target's acceleration, from the last two target velocities, that is added.
    """

    cascade: CascadeGains = field(default_factory=CascadeGains)
    integral: float = 4.0
    max_integral: float = 4.0
    feed_forward: float = 0.0


class CascadedPid:
    """N controllers with a memory of their own, for the sensors of a Crazyflie task, with or without targets."""

    def __init__(
        self, robot: RotorParameters, gains: PidGains, period: float, num_worlds: int, device: str = "cpu"
    ) -> None:
        self._gains = gains
        self._period = period
        self._cascade = Cascade(robot, gains.cascade, device)
        self._dynamics = parameter_row(robot, device).repeat(num_worlds, 1)
        self._integral = torch.zeros(num_worlds, 3, device=device)
        self._speed = torch.full((num_worlds, 4), 0.5 * robot.max_speed, device=device)
        self._last_target: Tensor | None = None
        self._no_torque = torch.zeros(num_worlds, 3, device=device)

    @torch.no_grad()
    def commands(self, sensors: Sensors) -> Commands:
        """Rotor speed commands in rad/s for this control period."""
        g, d = self._gains, self._dynamics
        position, velocity = sensors["position"], sensors["linear_velocity"]
        if "target_position" in sensors:
            position, velocity = position - sensors["target_position"], velocity - sensors["target_velocity"]
        self._integral = (self._integral - g.integral * self._period * position).clamp(-g.max_integral, g.max_integral)
        extra = self._integral
        if "target_velocity" in sensors and g.feed_forward:
            target = sensors["target_velocity"]
            last = target if self._last_target is None else self._last_target
            extra = extra + (g.feed_forward / self._period) * (target - last)
            self._last_target = target
        wanted = self._cascade.acceleration(position, velocity, extra)
        command = self._cascade.rotor_speed(
            wanted, sensors["orientation"], sensors["angular_velocity"], self._speed, self._no_torque, d
        )
        lag = torch.where(command > self._speed, d[:, 8:9], d[:, 9:10])
        self._speed = command + (self._speed - command) * torch.exp(-self._period / lag)
        return Commands({"rotor_speed": command})
