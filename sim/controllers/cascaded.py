"""A cascaded quadrotor controller: position -> acceleration -> thrust direction -> body rates -> rotor speeds.

It is the usual cascade (position and velocity feedback give a wanted acceleration; the thrust axis is turned towards
it; torques are mixed to rotor thrusts), with a lead that inverts the rotor lag. As a teacher it reads the vehicle's
true state, rotor speeds, disturbance and parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policies.signals import Sensors, State, Truth
from policies.terms.actions import rotor_speed
from policies.terms.rotation import rotation_matrix
from sim.controllers.teacher import Teacher
from sim.robots.rotors import GRAVITY, RotorParameters


@dataclass(frozen=True)
class CascadeGains:
    """`position` 1/s^2, `velocity` 1/s; `attitude` 1/s^2, `rate` 1/s for roll and pitch; `yaw`, `yaw_rate` likewise;
    `lead` s: the time constant that replaces the rotor lag; `max_acceleration` m/s^2 asked of feedback.
    """

    position: float = 8.41
    velocity: float = 3.44
    attitude: float = 241.0
    rate: float = 44.0
    yaw: float = 8.28
    yaw_rate: float = 9.22
    lead: float = 0.0533
    max_acceleration: float = 15.9


class Mixer:
    """Rotor thrusts for a wanted thrust and torque, and the rotor speeds that give them, for one rotor geometry."""

    def __init__(self, robot: RotorParameters, device: str = "cpu") -> None:
        self._x = torch.tensor(robot.rotor_x, device=device)
        self._y = torch.tensor(robot.rotor_y, device=device)
        self._yaw = torch.tensor(robot.yaw_sign, device=device)

    def thrusts(self, total: Tensor, torque: Tensor, dynamics: Tensor) -> Tensor:
        """Rotor thrusts [N, 4] in N, from 0 to full thrust, for total thrust [N] and torque [N, 3].

        The geometry is a symmetric cross, so its inverse is its transpose scaled. Torque takes precedence over thrust:
        if a rotor would have to pull, all thrusts are raised until that one is zero.
        """
        k_m, arm = dynamics[:, 7:8], self._x.abs()[0] * dynamics[:, 11:12]
        x, y = self._x * dynamics[:, 11:12], self._y * dynamics[:, 11:12]
        parts = (
            total[:, None]
            + torque[:, 0:1] * y / arm**2
            - torque[:, 1:2] * x / arm**2
            + torque[:, 2:3] * self._yaw / k_m
        )
        wanted = 0.25 * parts
        lifted = wanted + (-wanted.amin(-1, keepdim=True)).clamp_min(0.0)
        return torch.minimum(lifted, dynamics[:, 4:7].sum(-1, keepdim=True))


def speed_for_thrust(thrust: Tensor, dynamics: Tensor) -> Tensor:
    """Rotor speed as a share of its maximum [N, 4] that gives `thrust` [N, 4] N: the root of c0 + c1 u + c2 u^2."""
    c0, c1, c2 = dynamics[:, 4:5], dynamics[:, 5:6], dynamics[:, 6:7]
    root = torch.sqrt((c1 * c1 + 4.0 * c2 * (thrust - c0)).clamp_min(0.0))
    return ((root - c1) / (2.0 * c2)).clamp(0.0, 1.0)


def attitude_error(rotation: Tensor, direction_w: Tensor) -> Tensor:
    """Rotation vector [N, 3] in the body frame that turns body z onto the unit vector `direction_w` [N, 3]."""
    wanted = torch.einsum("nij,ni->nj", rotation, direction_w)
    # z x wanted = (-wanted_y, wanted_x, 0): the axis times the sine of the angle.
    axis = torch.stack((-wanted[:, 1], wanted[:, 0], torch.zeros_like(wanted[:, 0])), -1)
    sine = axis.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    turn: Tensor = axis * (torch.atan2(sine, wanted[:, 2:3]) / sine)
    return turn


class Cascade:
    """From a wanted acceleration to rotor speeds: thrust along body z, torques that turn it, mixing, inverted lag."""

    def __init__(self, robot: RotorParameters, gains: CascadeGains, device: str = "cpu") -> None:
        self.gains = gains
        self._mixer = Mixer(robot, device)
        self._up = torch.tensor([0.0, 0.0, GRAVITY], device=device)

    def acceleration(self, position_error: Tensor, velocity_error: Tensor, extra: Tensor) -> Tensor:
        """Wanted acceleration [N, 3] m/s^2, gravity compensated; `extra` [N, 3] is added to the feedback before its
        limit."""
        g = self.gains
        feedback = extra - g.position * position_error - g.velocity * velocity_error
        limited = feedback * (g.max_acceleration / feedback.norm(dim=-1, keepdim=True).clamp_min(g.max_acceleration))
        wanted: Tensor = limited + self._up
        return wanted

    def rotor_speed(
        self, acceleration: Tensor, orientation: Tensor, rates: Tensor, speed: Tensor, torque: Tensor, dynamics: Tensor
    ) -> Tensor:
        """Rotor speed commands [N, 4] rad/s that turn the vehicle to `acceleration` [N, 3].

        `speed` [N, 4] rad/s are the rotors' speeds now, `torque` [N, 3] N m a disturbance to cancel, `dynamics` the
        parameter rows [N, 12] that the controller assumes.
        """
        g, d = self.gains, dynamics
        mass, inertia = d[:, 0:1], d[:, 1:4]
        rotation = rotation_matrix(orientation).view(-1, 3, 3)
        full = 4.0 * d[:, 4:7].sum(-1)
        body_z = rotation[:, :, 2]
        # At least a fifth of the weight keeps torque available while falling.
        total = torch.minimum((mass * acceleration * body_z).sum(-1).clamp_min(0.2 * GRAVITY * mass[:, 0]), 0.9 * full)
        error = attitude_error(rotation, torch.nn.functional.normalize(acceleration, dim=-1))
        heading = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
        yaw = -g.yaw * heading * body_z[:, 2].clamp_min(0.0) - g.yaw_rate * rates[:, 2]
        turn = torch.cat(((g.attitude * error - g.rate * rates)[:, :2], yaw[:, None]), -1)
        wanted = inertia * turn - torque + torch.linalg.cross(rates, inertia * rates)
        aim = speed_for_thrust(self._mixer.thrusts(total, wanted, d), d) * d[:, 10:11]
        lag = torch.where(aim > speed, d[:, 8:9], d[:, 9:10])
        return torch.minimum((speed + (aim - speed) * (lag / g.lead)).clamp_min(0.0), d[:, 10:11])


class CascadedTeacher(Teacher):
    """The cascade with privileged knowledge, for the Truth of sim.quadrotor.scenario."""

    def __init__(self, robot: RotorParameters, gains: CascadeGains | None = None, device: str = "cpu") -> None:
        self.action = rotor_speed(robot.max_speed)
        self._cascade = Cascade(robot, gains or CascadeGains(), device)
        self._actions_per_speed = 2.0 / robot.max_speed

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, State]:
        return self.rotor_speeds(truth) * self._actions_per_speed - 1.0, state

    def rotor_speeds(self, truth: Truth) -> Tensor:
        """Rotor speed commands [N, 4] in rad/s."""
        d = truth["dynamics"]
        wanted = self._cascade.acceleration(
            truth["position_error"], truth["linear_velocity_error"], -truth["force"] / d[:, 0:1]
        )
        return self._cascade.rotor_speed(
            wanted, truth["orientation"], truth["angular_velocity"], truth["rotor_speed"], truth["torque"], d
        )
