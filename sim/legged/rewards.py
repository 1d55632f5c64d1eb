"""The reward terms of walking: each a plain function of what is true now, weighted by `RewardSettings`.

Most terms are sums of squares, so all of their columns are squared in one row and summed by one matrix product: with
thousands of worlds it is the number of operations that costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sim.legged.settings import RewardSettings

COARSE, FINE, YAW = 0.25, 0.03, 0.25
"""Widths of the tracking kernels, (m/s)^2 and (rad/s)^2."""


class Tracking:
    """How well a command is followed, in few operations.

    Called with the velocity and the rates in the base's frame and the command [N, 3] each: the kernels
    exp(-e^2 / width) of the horizontal velocity, coarse and fine, and of the yaw rate, then both errors, m/s and
    rad/s: [N, 5].
    """

    def __init__(self) -> None:
        self._sums = torch.zeros(3, 5)
        self._sums[:2, 0], self._sums[:2, 1], self._sums[2, 2] = -1.0 / COARSE, -1.0 / FINE, -1.0 / YAW
        self._sums[:2, 3], self._sums[2, 4] = 1.0, 1.0

    def __call__(self, velocity: Tensor, rates: Tensor, command: Tensor) -> Tensor:
        off = torch.cat((velocity[:, :2], rates[:, 2:]), -1) - command
        result = off.square_() @ self._sums
        result[:, :3].exp_()
        result[:, 3:].sqrt_()
        return result


@dataclass(frozen=True)
class Now:
    """What the terms read; N worlds, J joints, F feet."""

    tracking: Tensor
    """As `Tracking` gives it [N, 5]."""
    velocity: Tensor
    """Of the base in its own frame [N, 3], m/s."""
    rates: Tensor
    """Of the base in its own frame [N, 3], rad/s."""
    gravity: Tensor
    """Its direction in the base's frame [N, 3]."""
    height_error: Tensor
    """Base above the ground, less the stand height [N, 1], m."""
    position: Tensor
    """Of the joints [N, J], rad."""
    deviation: Tensor
    """Joint positions from the stance [N, J], rad."""
    joint_velocity: Tensor
    """[N, J], rad/s."""
    torque: Tensor
    """[N, J] Nm."""
    acceleration: Tensor
    """Of the joints [N, J], rad/s^2."""
    action_change: Tensor
    """Of the normalised action since the last step [N, J]."""
    last_action_change: Tensor
    """The same one step earlier [N, J]."""
    limits: Tensor
    """Lowest and highest joint positions that cost nothing [2, J], rad."""
    contact: Tensor
    """Of the feet [N, F]: 1 or 0."""
    wanted: Tensor
    """Which contacts the gait's clock asks for [N, F]: 1 or 0."""
    foot_height: Tensor
    """Of the feet's centres above the ground, less the clearance [N, F], m."""
    lift_error: Tensor
    """Of the feet's centres above where they rest, less what the gait's clock asks for [N, F], m."""
    foot_speed: Tensor
    """Horizontal, squared [N, F], (m/s)^2."""
    air_time: Tensor
    """Time in s for which each foot that has just touched down had been in the air; 0 for the others [N, F]."""
    standing: Tensor
    """Worlds that are commanded to stand [N, 1]: 1 or 0."""
    fallen: Tensor
    """[N] bool."""


Term = Callable[[Now], Tensor]

SQUARES: dict[str, Term] = {
    "vertical_velocity": lambda n: n.velocity[:, 2:],
    "tilt_rate": lambda n: n.rates[:, :2],
    "tilt": lambda n: n.gravity[:, :2],
    "height": lambda n: n.height_error,
    "torque": lambda n: n.torque,
    "joint_speed": lambda n: n.joint_velocity,
    "acceleration": lambda n: n.acceleration,
    "action_rate": lambda n: n.action_change,
    "action_jerk": lambda n: n.action_change - n.last_action_change,
    "joint_limits": lambda n: n.position - n.position.clamp(n.limits[0], n.limits[1]),
    "stance": lambda n: n.deviation * (1.0 + (5.0**0.5 - 1.0) * n.standing),
    "standing_still": lambda n: n.joint_velocity * n.standing,
    "swing": lambda n: n.lift_error,
}
"""Terms that are the sum of the squares of these columns [N, k]."""

OTHERS: dict[str, Term] = {
    "track_velocity": lambda n: n.tracking[:, 0],
    "track_velocity_finely": lambda n: n.tracking[:, 1],
    "track_yaw": lambda n: n.tracking[:, 2],
    "velocity_error": lambda n: n.tracking[:, 3],
    "yaw_error": lambda n: n.tracking[:, 4],
    "gait": lambda n: 1.0 - (n.contact - n.wanted).abs().mean(-1),
    "slip": lambda n: (n.foot_speed * n.contact).sum(-1),
    "clearance": lambda n: (n.foot_height.square() * n.foot_speed.sqrt() * (1.0 - n.wanted)).sum(-1),
    "air_time": lambda n: (n.air_time - 0.25 * (n.air_time > 0.0)).sum(-1) * (1.0 - n.standing[:, 0]),
    "fall": lambda n: n.fallen.float(),
}
"""Terms [N] of any other shape."""

TERMS = {**OTHERS, **SQUARES}
assert set(TERMS) == {field.name for field in fields(RewardSettings)}


class Rewards:
    """The weighted sum of all terms, in units per control period of `period` s."""

    def __init__(self, settings: RewardSettings, period: float) -> None:
        weights = {name: getattr(settings, name) * period for name in TERMS}
        self._others = [term for name, term in OTHERS.items() if weights[name] != 0.0]
        self._squares = [term for name, term in SQUARES.items() if weights[name] != 0.0]
        self.names = tuple(name for name in TERMS if weights[name] != 0.0)
        self._weights = torch.tensor([weights[name] for name in self.names])
        self._sums = torch.empty(0, 0)

    def __call__(self, now: Now) -> tuple[Tensor, Tensor]:
        """The reward [N] and the terms [N, T], weighted, in the order of `names`."""
        columns = [term(now) for term in self._squares]
        if not len(self._sums) and columns:
            self._sums = self._weighted_sums([column.shape[1] for column in columns])
        others = torch.stack([term(now) for term in self._others], -1) * self._weights[: len(self._others)]
        if not columns:
            return others.sum(-1), others
        squares = torch.cat(columns, -1).square_() @ self._sums
        values = torch.cat((others, squares), -1)
        return values.sum(-1), values

    def _weighted_sums(self, widths: list[int]) -> Tensor:
        """The matrix [columns, terms] that sums each term's columns and weighs them."""
        sums = torch.zeros(sum(widths), len(widths))
        start = 0
        for term, width in enumerate(widths):
            sums[start : start + width, term] = self._weights[len(self._others) + term]
            start += width
        return sums
