"""Randomization of quadrotor dynamics, always drawn from the nominal values, once an episode."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

Range = tuple[float, float]


@dataclass(frozen=True)
class RotorRandomization:
    """A share of the episodes flies another vehicle; the rest fly the nominal one.

    Every range is a factor on the nominal value, drawn log-uniformly, except `rise_time` and `fall_time`, which are in
    seconds, and `linear_thrust`: the share of the full thrust that is linear, not quadratic, in rotor speed.
    """

    share: float = 0.5
    thrust: Range = (0.62, 1.15)
    inertia: Range = (0.7, 2.5)
    torque: Range = (0.7, 1.4)
    rise_time: Range = (0.05, 0.2)
    fall_time: Range = (0.1, 0.27)
    linear_thrust: Range = (0.0, 0.4)

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"RotorRandomization.share must lie in [0, 1], got {self.share}")
        for name in ("thrust", "inertia", "torque", "rise_time", "fall_time"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(f"RotorRandomization.{name} needs 0 < low <= high, got {(low, high)}")
        if not 0.0 <= self.linear_thrust[0] <= self.linear_thrust[1] <= 1.0:
            raise ValueError(f"RotorRandomization.linear_thrust needs 0 <= low <= high <= 1, got {self.linear_thrust}")

    def draw(self, nominal: Tensor, generator: torch.Generator) -> Tensor:
        """Parameter rows [K, 11] (see sim.physics.rotor.kernels) for nominal rows [K, 11]."""
        u = torch.rand(len(nominal), 7, generator=generator, device=nominal.device)

        def factor(column: int, limits: Range) -> Tensor:
            return torch.exp(u[:, column] * (log(limits[1]) - log(limits[0])) + log(limits[0]))

        rows = nominal.clone()
        rows[:, 1:4] *= factor(0, self.inertia)[:, None]
        full = nominal[:, 4:7].sum(-1) * factor(1, self.thrust)
        linear = self.linear_thrust[0] + u[:, 2] * (self.linear_thrust[1] - self.linear_thrust[0])
        rows[:, 4] = 0.0
        rows[:, 5] = full * linear
        rows[:, 6] = full * (1.0 - linear)
        rows[:, 7] *= factor(3, self.torque)
        rows[:, 8] = factor(4, self.rise_time)
        rows[:, 9] = factor(5, self.fall_time)
        return torch.where(u[:, 6:7] < self.share, rows, nominal)
