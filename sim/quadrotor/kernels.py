"""Compiled counterparts of the functions in `sim.quadrotor.rewards`, in Warp's own language."""

# Warp reads annotations as objects, so this file must not postpone their evaluation.
import warp as wp

from sim.quadrotor import rewards


@wp.struct
class StepInputs:
    """What the rewards of a step are computed from; N worlds. A view has the same names."""

    parameters: wp.array(dtype=float)
    hover: float
    """The action that the nominal vehicle hovers with."""
    position_error: wp.array2d(dtype=float)
    orientation: wp.array2d(dtype=float)
    linear_velocity_error: wp.array2d(dtype=float)
    action: wp.array2d(dtype=float)
    failed: wp.array(dtype=bool)
    """Worlds [N] whose episode ends in this step: every term is 0."""


@wp.func
def alive(s: StepInputs, i: int, p: int):
    return 1.0


@wp.func
def position(s: StepInputs, i: int, p: int):
    x, y, z = s.position_error[i, 0], s.position_error[i, 1], s.position_error[i, 2]
    return x * x + y * y + z * z


@wp.func
def tilt(s: StepInputs, i: int, p: int):
    return 1.0 - s.orientation[i, 0] * s.orientation[i, 0]


@wp.func
def velocity(s: StepInputs, i: int, p: int):
    x, y, z = s.linear_velocity_error[i, 0], s.linear_velocity_error[i, 1], s.linear_velocity_error[i, 2]
    return x * x + y * y + z * z


@wp.func
def action(s: StepInputs, i: int, p: int):
    a, b, c, d = s.action[i, 0] - s.hover, s.action[i, 1] - s.hover, s.action[i, 2] - s.hover, s.action[i, 3] - s.hover
    return a * a + b * b + c * c + d * d


COUNTERPARTS = {
    rewards.alive: alive,
    rewards.position: position,
    rewards.tilt: tilt,
    rewards.velocity: velocity,
    rewards.action: action,
}
"""The Warp function behind each torch function of a reward."""
