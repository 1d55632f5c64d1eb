"""An open-loop oracle: which starts can be saved at all, by a pilot who knows everything and plans every rotor command.

For each start it searches rotor commands over 1.5 s by Adam through the differentiable physics, from many random plans
at once, with the disturbance known and no noise. A start counts as saved when some plan keeps the vehicle inside the
task's bounds all the way and leaves it nearly level, slow and above all flyable. What it does not save may still be
savable: it is a lower bound, and the benchmark takes its union with every trained policy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from policies.signals import Truth
from sim.physics.rotor.parameters import PARAMETERS
from sim.physics.rotor.physics import RotorPhysics

STEPS = 150
PLANS = 24
UPDATES = 250
BOUND = 0.6  # m, the task's
MAX_FINAL_SPEED = 0.5  # m/s
MAX_FINAL_RATE = 3.0  # rad/s
MIN_FINAL_UPRIGHT = 0.9  # cosine of the tilt


def savable(truth: Truth, period: float, seed: int = 0) -> Tensor:
    """Whether a plan was found [N] for starts described by the Truth of a Crazyflie task after a reset."""
    starts = torch.cat(
        [
            truth[k]
            for k in ("position_error", "orientation", "linear_velocity_error", "angular_velocity", "rotor_speed")
        ],
        -1,
    )
    n = len(starts)
    if n == 0:
        return torch.zeros(0, dtype=torch.bool)
    physics = RotorPhysics(n * PLANS, PARAMETERS["crazyflie"], period, threads=torch.get_num_threads())
    physics.parameters.copy_(truth["dynamics"].repeat_interleave(PLANS, 0))
    physics.wrench.copy_(torch.cat((truth["force"], truth["torque"]), -1).repeat_interleave(PLANS, 0))
    initial = starts.repeat_interleave(PLANS, 0)
    generator = torch.Generator().manual_seed(seed)
    hover = 2.0 * PARAMETERS["crazyflie"].hover_fraction - 1.0
    # Each plan is a value before a tanh, held over three steps, so that searching is smooth and commands stay in range.
    knots = 0.8 * torch.randn(STEPS // 3, n * PLANS, 4, generator=generator) + hover
    knots += torch.randn(1, n * PLANS, 4, generator=generator)
    knots.requires_grad_()
    optimizer = torch.optim.Adam([knots], lr=0.08)
    saved = torch.zeros(n * PLANS, dtype=torch.bool)
    for _ in range(UPDATES):
        cost, ok = _fly(physics, initial, knots)
        saved |= ok
        optimizer.zero_grad()
        cost.backward()
        assert knots.grad is not None
        torch.nan_to_num_(knots.grad)
        optimizer.step()
    return saved.view(n, PLANS).any(-1)


def _fly(physics: RotorPhysics, initial: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cost of all plans and which of them end well."""
    high = physics.parameters[:, 10:11]
    state = initial
    reach = []
    for t in range(STEPS):
        state = physics.advance(state, 0.5 * high * (1.0 + torch.tanh(knots[t // 3])))
        reach.append(state[:, 0:3].abs())
    distance = torch.stack(reach)
    q = state[:, 3:7]
    upright = 1.0 - 2.0 * (q[:, 1].square() + q[:, 2].square())
    speed, rate = state[:, 7:10], state[:, 10:13]
    beyond = (distance - 0.95 * BOUND).clamp_min(0.0)
    cost = (
        200.0 * beyond.sum(0).sum(-1)
        + speed.square().sum(-1)
        + 0.02 * rate.square().sum(-1)
        + 2.0 * (1.0 - upright)
        + 0.02 * knots.square().mean((0, 2))
    )
    with torch.no_grad():
        ok = (
            (distance.amax((0, 2)) <= BOUND)
            & (speed.norm(dim=-1) <= MAX_FINAL_SPEED)
            & (rate.norm(dim=-1) <= MAX_FINAL_RATE)
            & (upright >= MIN_FINAL_UPRIGHT)
        )
    return cost.sum(), ok
