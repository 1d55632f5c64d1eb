"""Where quadrotor episodes start: drawn many at a time and handed out in order, because single draws cost as much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sin

import torch
from torch import Tensor

from sim.quadrotor.randomization import RotorRandomization
from sim.robots.rotors import GRAVITY

_FEWEST_AHEAD = 64


@dataclass(frozen=True)
class QuadrotorStart:
    """Where an episode starts: `at_target` is the share that starts level at the target; the others lie uniformly
    within `position` m of it in each axis, with an orientation uniform over all rotations of at most `angle` rad.
    Velocities are uniform within `linear_velocity` m/s and `angular_velocity` rad/s in each axis; rotors turn at half
    speed. `force` and `torque` are the standard deviations of the episode's constant disturbance, in units of m g and
    m g x 1 m.
    """

    at_target: float = 0.1
    position: float = 0.2
    angle: float = pi / 2
    linear_velocity: float = 1.0
    angular_velocity: float = 1.0
    force: float = 1.0 / 20.0
    torque: float = 1.0 / 1e4


class StartPool:
    """Starts drawn ahead: rows of [state 17, wrench 6, parameters 11] (see sim.physics.rotor.kernels), target at
    zero.
    """

    def __init__(
        self, start: QuadrotorStart, nominal: Tensor, randomization: RotorRandomization | None, num_worlds: int
    ) -> None:
        """`nominal` is the parameter row [1, 11] that every draw goes out from."""
        self._start = start
        self._nominal = nominal
        self._randomization = randomization
        self._ahead = max(_FEWEST_AHEAD, num_worlds // 4)
        self._quantiles = _angle_quantiles(start.angle).to(nominal.device)
        self._rows = torch.zeros(0, 34, device=nominal.device)

    def take(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """State rows [count, 17], wrenches [count, 6] and parameters [count, 11] of the next starts."""
        if count > len(self._rows):
            fresh = self._draw(max(self._ahead, count - len(self._rows)), generator)
            self._rows = torch.cat((self._rows, fresh))
        taken, self._rows = self._rows[:count], self._rows[count:]
        return taken[:, :17], taken[:, 17:23], taken[:, 23:]

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        start, device = self._start, self._nominal.device
        uniform = torch.rand(n, 11, generator=generator, device=device)
        normal = torch.randn(n, 9, generator=generator, device=device)
        level = uniform[:, :1] < start.at_target
        spread = uniform[:, 1:10] * 2.0 - 1.0
        angle = torch.where(level, 0.0, _interpolate(self._quantiles, uniform[:, 10:]))
        axis = torch.nn.functional.normalize(normal[:, 6:9], dim=-1)
        parameters = self._nominal.expand(n, -1)
        if self._randomization is not None:
            parameters = self._randomization.draw(parameters, generator)
        weight = parameters[:, :1] * GRAVITY
        return torch.cat(
            (
                torch.where(level, 0.0, spread[:, 0:3] * start.position),
                torch.cos(0.5 * angle),
                torch.sin(0.5 * angle) * axis,
                spread[:, 3:6] * start.linear_velocity,
                spread[:, 6:9] * start.angular_velocity,
                (0.5 * parameters[:, 10:11]).expand(n, 4),
                normal[:, 0:3] * start.force * weight,
                normal[:, 3:6] * start.torque * weight,
                parameters,
            ),
            -1,
        )

    def snapshot(self) -> dict[str, Tensor]:
        return {"starts": self._rows.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._rows = snapshot["starts"].clone()


def _angle_quantiles(limit: float, points: int = 1024) -> Tensor:
    """Quantiles of the angle of a rotation uniform (Haar) among those of at most `limit` rad: density ~ 1 -
    cos(angle).
    """
    angles = torch.linspace(0.0, limit, 20 * points, dtype=torch.float64)
    share = (angles - torch.sin(angles)) / max(limit - sin(limit), 1e-12)
    wanted = torch.linspace(0.0, 1.0, points, dtype=torch.float64)
    return angles[torch.searchsorted(share, wanted).clamp(max=len(angles) - 1)].float()


def _interpolate(table: Tensor, u: Tensor) -> Tensor:
    """Read `table`, sampled evenly over [0, 1], at `u` in [0, 1)."""
    x = u * (len(table) - 1)
    low = x.long()
    return torch.lerp(table[low], table[low + 1], x - low)
