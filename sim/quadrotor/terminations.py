"""Terminations of a flight: functions of a view (see `sim.quadrotor.rewards`), [N] bool."""

from __future__ import annotations

from torch import Tensor

from policies.signals import Truth
from sim.terms.parameters import Positive
from sim.terms.terms import Termination
from sim.terms.view import View


def astray(view: View, *, bound: Positive = 0.6) -> Tensor:
    """Vehicles more than `bound` m from the target in any axis."""
    # A comparison with NaN is false, so a world that is not finite has ended, too.
    return ~(view["position_error"].abs().amax(-1) <= bound)


def astray_by_size(view: View, *, arms: Positive = 20.0) -> Tensor:
    """Vehicles farther from the target in any axis than `arms` times the distance from their centre to a rotor.

    Source: arXiv 2509.11481, public code.
    """
    return ~(view["position_error"].abs().amax(-1) <= arms * view["rotor_distance"][:, 0])


def allowed_distance(astray: Termination, truth: Truth) -> Tensor | float:
    """How far from the target, in m, the termination lets each vehicle be in any axis: [N, 1], or one for all."""
    if "arms" in astray.parameters:
        return float(astray.parameters["arms"]) * truth["rotor_distance"]
    return float(astray.parameters["bound"])


FLIGHT_TERMINATIONS = {"astray": Termination(astray)}
"""The terminations of every Crazyflie task."""
