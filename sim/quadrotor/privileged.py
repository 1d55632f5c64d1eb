"""What a quadrotor's critic sees: the state without noise, the disturbance and the rotors, each in units of about 1.

The critic of arXiv 2311.13081, public code.
"""

from __future__ import annotations

from torch import Tensor

from policies.terms.rotation import rotation_matrix
from sim.robots.rotors import GRAVITY
from sim.terms.terms import Privileged, Signal
from sim.terms.view import View


def rotation(view: View) -> Tensor:
    """The body-to-world rotation matrix, row by row [N, 9]."""
    return rotation_matrix(view["orientation"])


def force(view: View) -> Tensor:
    """The disturbance by force [N, 3] in units of m g / 20."""
    return view["force"] * (20.0 / _weight(view))


def torque(view: View) -> Tensor:
    """The disturbance by torque [N, 3] in units of m g x 1 m / 1e4."""
    return view["torque"] * (1e4 / _weight(view))


def rotor_speed(view: View) -> Tensor:
    """Rotor speeds [N, 4] in -1..1."""
    return view["rotor_speed"] * (2.0 / view["dynamics"][:, 10:11]) - 1.0


def _weight(view: View) -> Tensor:
    """m g [N, 1] in N."""
    return view["dynamics"][:, :1] * GRAVITY


FLIGHT_PRIVILEGED = {
    "position_error": Privileged(Signal("position_error"), 3),
    "rotation": Privileged(rotation, 9),
    "linear_velocity_error": Privileged(Signal("linear_velocity_error"), 3),
    "angular_velocity": Privileged(Signal("angular_velocity"), 3),
    "force": Privileged(force, 3),
    "torque": Privileged(torque, 3),
    "rotor_speed": Privileged(rotor_speed, 4),
}
