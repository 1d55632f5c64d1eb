"""The reward terms of walking: each a plain function of what is true now, weighted by `RewardSettings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sim.legged.settings import RewardSettings


@dataclass(frozen=True)
class Now:
    """What the terms read; N worlds, J joints, F feet."""

    command: Tensor
    """[N, 3]"""
    velocity: Tensor
    """Of the base in its own frame [N, 3], m/s."""
    rates: Tensor
    """Of the base in its own frame [N, 3], rad/s."""
    gravity: Tensor
    """Its direction in the base's frame [N, 3]."""
    height_error: Tensor
    """Base above the ground, less the stand height [N], m."""
    deviation: Tensor
    """Joint positions from the stance [N, J], rad."""
    torque: Tensor
    """[N, J] Nm."""
    acceleration: Tensor
    """Of the joints [N, J], rad/s^2."""
    action_change: Tensor
    """Of the normalised action since the last step [N, J]."""
    contact: Tensor
    """Of the feet [N, F] bool."""
    wanted: Tensor
    """Which contacts the gait's clock asks for [N, F] bool."""
    foot_height: Tensor
    """Of the feet's centres above the ground, less the clearance [N, F], m."""
    foot_speed: Tensor
    """Horizontal, squared [N, F], (m/s)^2."""
    standing: Tensor
    """Worlds that are commanded to stand [N] bool."""
    fallen: Tensor
    """[N] bool."""


TERMS: dict[str, Callable[[Now], Tensor]] = {
    "track_velocity": lambda n: torch.exp((n.velocity[:, :2] - n.command[:, :2]).square().sum(-1) * (-1.0 / 0.25)),
    "track_velocity_finely": lambda n: torch.exp(
        (n.velocity[:, :2] - n.command[:, :2]).square().sum(-1) * (-1.0 / 0.03)
    ),
    "track_yaw": lambda n: torch.exp((n.rates[:, 2] - n.command[:, 2]).square() * (-1.0 / 0.25)),
    "gait": lambda n: (n.contact == n.wanted).float().mean(-1),
    "vertical_velocity": lambda n: n.velocity[:, 2].square(),
    "tilt_rate": lambda n: n.rates[:, :2].square().sum(-1),
    "tilt": lambda n: n.gravity[:, :2].square().sum(-1),
    "height": lambda n: n.height_error.square(),
    "torque": lambda n: n.torque.square().sum(-1),
    "acceleration": lambda n: n.acceleration.square().sum(-1),
    "action_rate": lambda n: n.action_change.square().sum(-1),
    "stance": lambda n: n.deviation.square().sum(-1) * (1.0 + 4.0 * n.standing),
    "slip": lambda n: (n.foot_speed * n.contact).sum(-1),
    "clearance": lambda n: (n.foot_height.square() * n.foot_speed.sqrt() * ~n.wanted).sum(-1),
    "fall": lambda n: n.fallen.float(),
}
assert set(TERMS) == {field.name for field in fields(RewardSettings)}


class Rewards:
    """The weighted sum of all terms, in units per control period of `period` s."""

    def __init__(self, settings: RewardSettings, period: float) -> None:
        weights = {name: getattr(settings, name) * period for name in TERMS}
        self._terms = [term for name, term in TERMS.items() if weights[name] != 0.0]
        self.names = tuple(name for name in TERMS if weights[name] != 0.0)
        self._weights = torch.tensor([weights[name] for name in self.names])

    def __call__(self, now: Now) -> tuple[Tensor, Tensor]:
        """The reward [N] and the unweighted terms [N, T], in the order of `names`."""
        values = torch.stack([term(now) for term in self._terms], -1)
        return values @ self._weights, values
