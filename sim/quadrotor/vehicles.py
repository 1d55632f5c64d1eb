"""Any quadrotor: vehicles drawn over two orders of magnitude in mass, and what a teacher may know of them.

The distribution is that of arXiv 2509.11481 and its public code: the cube root of the mass is uniform and the size
follows it, so that mass and size grow together; thrust, inertia, yaw torque and lag are drawn relative to them. The
shape of the thrust curve and the ratio of the inertias are those of the nominal vehicle.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from sim.robots.rotors import GRAVITY
from sim.terms.parameters import Limits, NonNegative, Positive
from sim.terms.terms import Event, Privileged
from sim.terms.view import View

Span = Annotated[tuple[float, float], Limits(above=0.0, ordered=True)]
Ratio = Annotated[tuple[float, float], Limits(above=1.0, ordered=True)]
Number = Annotated[int, Limits(low=-1)]


def vehicle(
    scenario: Any,
    ids: Tensor,
    generator: torch.Generator,
    *,
    mass: Span = (0.02, 5.0),
    size_deviation: NonNegative = 0.1,
    thrust_to_weight: Ratio = (1.5, 5.0),
    torque_to_inertia: Span = (40.0, 1200.0),
    yaw_torque: Span = (0.005, 0.05),
    rise_time: Span = (0.03, 0.1),
    fall_time: Span = (0.03, 0.3),
    torque_skew: Positive = 1.0,
    only: Number = -1,
) -> None:
    """Every episode flies another vehicle; with `only` from 0 on, all fly the one vehicle of that number.

    `mass` kg is uniform in its cube root. The distance to the rotors is the nominal one times the cube root of the mass
    ratio and a factor with a spread of `size_deviation`. Uniform: `thrust_to_weight`, full thrust over weight;
    `torque_to_inertia` rad/s^2, the roll acceleration with two rotors at full thrust; `yaw_torque` m, yaw torque per
    newton; `rise_time` and `fall_time` s, the time constants of the rotors' lag. `torque_skew` above 1 draws more
    vehicles of small `torque_to_inertia`: it is the exponent of the uniform number in 0..1, except with `only`.
    """
    starts = scenario.starts
    nominal = starts.parameters[ids]
    if only >= 0:
        fixed = torch.Generator().manual_seed(only)
        u, deviation = (draw(1, width, generator=fixed).to(ids.device) for draw, width in _DRAWS)
        u, deviation = u.expand(len(ids), -1), deviation.expand(len(ids), -1)
        torque_skew = 1.0
    else:
        u, deviation = (draw(len(ids), width, generator=generator, device=ids.device) for draw, width in _DRAWS)

    def uniform(column: int, limits: tuple[float, float], skew: float = 1.0) -> Tensor:
        return limits[0] + u[:, column] ** skew * (limits[1] - limits[0])

    rows = nominal.clone()
    rows[:, 0] = uniform(0, (mass[0] ** (1 / 3), mass[1] ** (1 / 3))) ** 3
    x = size_deviation * deviation[:, 0]
    spread = torch.where(x < 0.0, 1.0 / (1.0 - x.clamp(max=0.0)), 1.0 + x)
    rows[:, 11] = (rows[:, 0] / nominal[:, 0]) ** (1 / 3) * spread
    full = 0.25 * GRAVITY * rows[:, 0] * uniform(1, thrust_to_weight)
    rows[:, 4:7] *= (full / nominal[:, 4:7].sum(-1))[:, None]
    # The rotors stand on the diagonals, so a pair of them has an arm of sqrt(2) / 2 of their distance.
    torque = 2**0.5 * full * scenario.rotor_distance * rows[:, 11]
    rows[:, 1:4] *= (torque / uniform(2, torque_to_inertia, torque_skew) / nominal[:, 1])[:, None]
    rows[:, 7] = uniform(3, yaw_torque)
    rows[:, 8] = uniform(4, rise_time)
    rows[:, 9] = uniform(5, fall_time)
    starts.parameters[ids] = rows


_DRAWS = ((torch.rand, 6), (torch.randn, 1))
"""What is drawn for each vehicle: functions and numbers."""


def traits(view: View) -> Tensor:
    """What decides how a vehicle flies [N, 8], in units of about 1: the share of full speed at hover, thrust to weight,
    the logarithms of the angular accelerations by full differential thrust (3) and of the size, and the two lags."""
    d, distance = view["dynamics"], view["rotor_distance"]
    full = d[:, 4:7].sum(-1, keepdim=True)
    torque = torch.cat((2**0.5 * distance, 2**0.5 * distance, 2.0 * d[:, 7:8]), -1) * full
    weight = d[:, 0:1] * GRAVITY
    c0, c1, c2 = d[:, 4:5], d[:, 5:6], d[:, 6:7]
    hover = (torch.sqrt(c1 * c1 + 4.0 * c2 * (0.25 * weight - c0)) - c1) / (2.0 * c2)
    return torch.cat(
        (
            hover,
            4.0 * full / weight - 3.0,
            torch.log(torque / d[:, 1:4]) - 5.0,
            torch.log(distance) + 2.0,
            20.0 * d[:, 8:9] - 1.0,
            10.0 * d[:, 9:10] - 1.5,
        ),
        -1,
    )


ANY_VEHICLE = {"vehicle": Event(vehicle, "start", {"torque_skew": 2.0})}
"""The event that draws vehicles, more of those that turn slowly, which are the hardest to fly unknown; it comes before
those that need a vehicle's mass or size."""
PUBLISHED_VEHICLE = {"vehicle": {"torque_skew": 1.0}}
"""Its settings for vehicles as published."""
ANY_PRIVILEGED = {"traits": Privileged(traits, 8)}
"""What a critic or a teacher knows of the vehicle itself."""
