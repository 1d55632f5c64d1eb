"""Randomization of quadrotor dynamics, always drawn from the nominal values, once an episode."""

from __future__ import annotations

from math import log
from typing import Annotated, Any

import torch
from torch import Tensor

from sim.terms.parameters import Limits, Share
from sim.terms.terms import Event

Factor = Annotated[tuple[float, float], Limits(above=0.0, ordered=True)]
Shares = Annotated[tuple[float, float], Limits(low=0.0, high=1.0, ordered=True)]


def dynamics(
    scenario: Any,
    ids: Tensor,
    generator: torch.Generator,
    *,
    share: Share = 0.5,
    thrust: Factor = (0.62, 1.15),
    inertia: Factor = (0.7, 2.5),
    torque: Factor = (0.7, 1.4),
    rise_time: Factor = (0.05, 0.2),
    fall_time: Factor = (0.1, 0.27),
    linear_thrust: Shares = (0.0, 0.4),
) -> None:
    """A `share` of the episodes flies another vehicle; the rest fly the nominal one.

    Every range is a factor on the nominal value, drawn log-uniformly, except `rise_time` and `fall_time`, which are in
    seconds, and `linear_thrust`: the share of the full thrust that is linear, not quadratic, in rotor speed.
    """
    nominal = scenario.starts.parameters[ids]
    u = torch.rand(len(ids), 7, generator=generator, device=ids.device)

    def factor(column: int, limits: tuple[float, float]) -> Tensor:
        return torch.exp(u[:, column] * (log(limits[1]) - log(limits[0])) + log(limits[0]))

    rows = nominal.clone()
    rows[:, 1:4] *= factor(0, inertia)[:, None]
    full = nominal[:, 4:7].sum(-1) * factor(1, thrust)
    linear = linear_thrust[0] + u[:, 2] * (linear_thrust[1] - linear_thrust[0])
    rows[:, 4] = 0.0
    rows[:, 5] = full * linear
    rows[:, 6] = full * (1.0 - linear)
    rows[:, 7] *= factor(3, torque)
    rows[:, 8] = factor(4, rise_time)
    rows[:, 9] = factor(5, fall_time)
    scenario.starts.parameters[ids] = torch.where(u[:, 6:7] < share, rows, nominal)


FLIGHT_RANDOMIZATION = {"dynamics": Event(dynamics, "restart")}
"""The randomization of every Crazyflie task."""
