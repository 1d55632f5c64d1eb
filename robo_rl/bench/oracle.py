"""An open-loop oracle: which starts can be saved at all, by optimised rotor commands with privileged knowledge.

Each start gets `PLANS` plans of 1.5 s: the rotor commands of a privileged cascaded controller with other gains for each
plan. Adam then improves all of them at once through the differentiable physics, with the disturbance known and no
noise. A start counts as saved when some plan keeps the vehicle inside the task's bounds all the way and leaves it level
and slow. This is a lower bound, since other starts may still be savable; the benchmark adds what any trained policy
saved.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from policies.signals import Truth
from sim.controllers.cascaded import CascadedTeacher, CascadeGains
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS

STEPS = 150
PLANS = 24
UPDATES = 150
GAIN_SPREAD = 0.4  # standard deviation of a gain's logarithm
BOUND = 0.6  # m, the task's
MAX_FINAL_SPEED = 0.5  # m/s
MAX_FINAL_RATE = 3.0  # rad/s
MIN_FINAL_UPRIGHT = 0.9  # cosine of the tilt

ROBOT = PARAMETERS["crazyflie"]
STATE = ("position_error", "orientation", "linear_velocity_error", "angular_velocity", "rotor_speed")


def savable(truth: Truth, period: float, seed: int = 0) -> Tensor:
    """Whether a plan was found [N] for starts described by the Truth of a Crazyflie task after a reset."""
    n = len(truth["dynamics"])
    if n == 0:
        return torch.zeros(0, dtype=torch.bool)
    many = Truth({name: value.repeat(PLANS, 1) for name, value in truth.items()})
    physics = RotorPhysics(n * PLANS, ROBOT, period)
    physics.parameters.copy_(many["dynamics"])
    physics.wrench.copy_(torch.cat((many["force"], many["torque"]), -1))
    initial = torch.cat([many[name] for name in STATE], -1)
    plan = torch.cat([_first_plan(truth, period, seed + k) for k in range(PLANS)], 1).requires_grad_()
    optimizer = torch.optim.Adam([plan], lr=0.02)
    saved = torch.zeros(n * PLANS, dtype=torch.bool)
    for _ in range(UPDATES):
        cost, ends_well = _fly(physics, initial, plan)
        saved |= ends_well
        optimizer.zero_grad()
        cost.backward()
        assert plan.grad is not None
        # Each plan is a problem of its own, so each gradient is scaled alone and one that explodes affects no other.
        norm = plan.grad.square().sum((0, 2), keepdim=True).sqrt()
        plan.grad.div_(norm.clamp_min(1e-9)).nan_to_num_()
        optimizer.step()
        with torch.no_grad():
            plan.clamp_(0.0, 1.0)
    return saved.view(PLANS, n).any(0)


def _first_plan(truth: Truth, period: float, seed: int) -> Tensor:
    """Rotor commands [STEPS, N, 4], as shares of full speed, of the teacher with other gains for each plan; seed 0: as
    tuned."""
    random = np.random.default_rng(seed)
    spread = GAIN_SPREAD if seed else 0.0
    gains = CascadeGains(**{k: v * float(np.exp(random.normal(0.0, spread))) for k, v in vars(CascadeGains()).items()})
    teacher = CascadedTeacher(ROBOT, gains)
    physics = RotorPhysics(len(truth["dynamics"]), ROBOT, period)
    physics.parameters.copy_(truth["dynamics"])
    physics.wrench.copy_(torch.cat((truth["force"], truth["torque"]), -1))
    start = torch.cat([truth[name] for name in STATE], -1)
    physics.write(torch.ones(len(start), dtype=torch.bool), *start.split((7, 6, 4), -1))
    plan = []
    for _ in range(STEPS):
        seen = physics.sensors()
        now = {"position_error": seen["position"], "linear_velocity_error": seen["linear_velocity"]}
        command = teacher.rotor_speeds(Truth({**dict(truth), **seen, **now}))
        plan.append(command / ROBOT.max_speed)
        physics.step(command)
    return torch.stack(plan)


def _fly(physics: RotorPhysics, initial: Tensor, plan: Tensor) -> tuple[Tensor, Tensor]:
    """Summed cost of all plans, and which of them end well."""
    state = initial
    reached = []
    for t in range(STEPS):
        state = physics.advance(state, ROBOT.max_speed * plan[t])
        reached.append(state[:, 0:3].abs())
    distance = torch.stack(reached)
    upright = 1.0 - 2.0 * (state[:, 4].square() + state[:, 5].square())
    speed, rate = state[:, 7:10], state[:, 10:13]
    cost = (
        200.0 * (distance - 0.95 * BOUND).clamp_min(0.0).sum(0).sum(-1)
        + speed.square().sum(-1)
        + 0.02 * rate.square().sum(-1)
        + 2.0 * (1.0 - upright)
    )
    with torch.no_grad():
        ends_well = (
            (distance.amax((0, 2)) <= BOUND)
            & (speed.norm(dim=-1) <= MAX_FINAL_SPEED)
            & (rate.norm(dim=-1) <= MAX_FINAL_RATE)
            & (upright >= MIN_FINAL_UPRIGHT)
        )
    return cost.sum(), ends_well
