"""The reward terms of flying to a target, each a function of a view: [N], before its weight.

The published shape (arXiv 2311.13081, public code) with weights part-way to its final ones. Every term is 0 in the step
that ends an episode. Beside the truth (see `sim.quadrotor.scenario.QuadrotorScenario`) a view holds `action` [N, 4],
normalised to -1..1, `hover_action` [1, 1], that which the nominal vehicle hovers with, and `terminated` [N].
"""

from __future__ import annotations

from collections.abc import Mapping

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

# Columns of the joined errors that a term sums the squares of, their sign, and what it is at no error.
_COLUMNS = {position: slice(0, 3), tilt: slice(3, 4), velocity: slice(4, 7), action: slice(7, 11), alive: slice(0, 0)}


class FusedRewards:
    """The terms above as one matrix product: at thousands of worlds the number of operations is what costs."""

    def __init__(self, rewards: Mapping[str, Reward], num_worlds: int, period: float, device: str) -> None:
        terms = {name: term for name, term in rewards.items() if term.weight != 0.0 and term.function in _COLUMNS}
        self.names = tuple(terms)
        self.sums = torch.zeros(num_worlds, len(terms), device=device)
        matrix, offset = torch.zeros(11, len(terms)), torch.zeros(len(terms))
        for column, term in enumerate(terms.values()):
            matrix[_COLUMNS[term.function], column] = -1.0 if term.function is tilt else 1.0
            offset[column] = 1.0 if term.function in (tilt, alive) else 0.0
        weights = torch.tensor([term.weight * period for term in terms.values()])
        self._matrix, self._offset = (matrix * weights).to(device), (offset * weights).to(device)

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The sum of the terms [N], weighted."""
        errors = (
            inputs["position_error"],
            inputs["orientation"][:, :1],
            inputs["linear_velocity_error"],
            inputs["action"] - inputs["hover_action"],
        )
        each = torch.addmm(self._offset, torch.cat(errors, -1).square(), self._matrix)
        each = torch.where(inputs["terminated"][:, None], 0.0, each)
        self.sums += each
        return each.sum(-1)
