"""The reward terms of flying to a target, each a function of a view: [N], before its weight.

The published shape (arXiv 2311.13081, public code) with weights part-way to its final ones. Every term is 0 in the step
that ends an episode. Beside the truth (see `sim.quadrotor.scenario.QuadrotorScenario`) a view holds `action` [N, 4],
normalised to -1..1, `hover_action` [1, 1], that which the nominal vehicle hovers with, and `terminated` [N].
"""

from __future__ import annotations

import torch
from torch import Tensor

from sim.terms.terms import Reward
from sim.terms.view import View


def alive(view: View) -> Tensor:
    """1 while the episode lasts."""
    return (~view["terminated"]).float()


def position(view: View) -> Tensor:
    """Squared distance to the target, m^2."""
    return _while_alive(view, view["position_error"].square().sum(-1))


def tilt(view: View) -> Tensor:
    """1 - w^2 of the orientation quaternion: the square of the sine of half the angle to level at heading 0."""
    return _while_alive(view, 1.0 - view["orientation"][:, 0].square())


def velocity(view: View) -> Tensor:
    """Squared velocity relative to the target, (m/s)^2."""
    return _while_alive(view, view["linear_velocity_error"].square().sum(-1))


def action(view: View) -> Tensor:
    """Sum of squared differences of the action from that of hovering."""
    return _while_alive(view, (view["action"] - view["hover_action"]).square().sum(-1))


def _while_alive(view: View, value: Tensor) -> Tensor:
    return torch.where(view["terminated"], 0.0, value)


FLIGHT_REWARDS = {
    "alive": Reward(alive, 200.0),
    "position": Reward(position, -1000.0),
    "tilt": Reward(tilt, -125.0),
    "velocity": Reward(velocity, -25.0),
    "action": Reward(action, -25.0),
}
"""The terms of every Crazyflie task, with their weights."""
