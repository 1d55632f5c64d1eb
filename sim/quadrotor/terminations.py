"""Terminations of a flight: functions of a view (see `sim.quadrotor.rewards`), [N] bool."""

from __future__ import annotations

from torch import Tensor

from sim.terms.parameters import Positive
from sim.terms.terms import Termination
from sim.terms.view import View


def astray(view: View, *, bound: Positive = 0.6) -> Tensor:
    """Vehicles more than `bound` m from the target in any axis."""
    # A comparison with NaN is false, so a world that is not finite has ended, too.
    return ~(view["position_error"].abs().amax(-1) <= bound)


FLIGHT_TERMINATIONS = {"astray": Termination(astray)}
"""The terminations of every Crazyflie task."""
