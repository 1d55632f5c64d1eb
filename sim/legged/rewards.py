"""The reward terms of walking: each a plain function of what is true now, weighted by `RewardSettings`.

Most terms are sums of squares. Those of signals as the physics gives them are one product of its squared rows with a
row of weights, the others are squared in one row and summed by another: with thousands of worlds it is the number of
operations that costs. For the same reason what belongs to a foot has the worlds along its last axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    rad/s: [5, N].
    """

    def __init__(self) -> None:
        self._sums = torch.zeros(5, 3)
        self._sums[0, :2], self._sums[1, :2], self._sums[2, 2] = -1.0 / COARSE, -1.0 / FINE, -1.0 / YAW
        self._sums[3, :2], self._sums[4, 2] = 1.0, 1.0

    def __call__(self, velocity: Tensor, rates: Tensor, command: Tensor) -> Tensor:
        off = torch.stack((velocity[:, 0], velocity[:, 1], rates[:, 2])).sub_(command.T)
        result = self._sums @ off.square_()
        result[:3].exp_()
        result[3:].sqrt_()
        return result


@dataclass(frozen=True)
class Now:
    """What the terms read; N worlds, J joints, F feet."""

    tracking: Tensor
    """As `Tracking` gives it [5, N]."""
    values: Tensor
    """The physics' own [N, S], for `READINGS`."""
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
    acceleration: Tensor
    """Of the joints [N, J], rad/s^2."""
    action_change: Tensor
    """Of the normalised action since the last step [N, J]."""
    last_action_change: Tensor
    """The same one step earlier [N, J]."""
    limits: Tensor
    """Lowest and highest joint positions that cost nothing [2, J], rad."""
    contact: Tensor
    """Of the feet [F, N]: 1 or 0."""
    wanted: Tensor
    """Which contacts the gait's clock asks for [F, N]: 1 or 0."""
    foot_height: Tensor
    """Of the feet's centres above the ground, less the clearance [F, N], m."""
    lift_error: Tensor
    """Of the feet's centres above where they rest, less what the gait's clock asks for [F, N], m."""
    foot_speed: Tensor
    """Horizontal, squared [F, N], (m/s)^2."""
    air_time: Tensor
    """Time in s for which each foot that has just touched down had been in the air; 0 for the others [F, N]."""
    standing: Tensor
    """Worlds that are commanded to stand [N]: 1 or 0."""
    fallen: Tensor
    """[N] bool."""


Term = Callable[[Now], Tensor]

READINGS: dict[str, tuple[str, slice]] = {
    "vertical_velocity": ("linear_velocity", slice(2, 3)),
    "tilt_rate": ("angular_velocity", slice(0, 2)),
    "torque": ("joint_torque", slice(None)),
    "joint_speed": ("joint_velocity", slice(None)),
}
"""Terms that are the sum of the squares of these columns of a signal of the physics."""

SQUARES: dict[str, Term] = {
    "tilt": lambda n: n.gravity[:, :2].contiguous(),
    "height": lambda n: n.height_error,
    "acceleration": lambda n: n.acceleration,
    "action_rate": lambda n: n.action_change,
    "action_jerk": lambda n: n.action_change - n.last_action_change,
    "joint_limits": lambda n: n.position - n.position.clamp(n.limits[0], n.limits[1]),
    "stance": lambda n: n.deviation * torch.add(1.0, n.standing[:, None], alpha=5.0**0.5 - 1.0),
    "standing_still": lambda n: n.joint_velocity * n.standing[:, None],
    "swing": lambda n: n.lift_error.T,
}
"""Terms that are the sum of the squares of these columns [N, k]."""

OTHERS: dict[str, Term] = {
    "track_velocity": lambda n: n.tracking[0],
    "track_velocity_finely": lambda n: n.tracking[1],
    "track_yaw": lambda n: n.tracking[2],
    "velocity_error": lambda n: n.tracking[3],
    "yaw_error": lambda n: n.tracking[4],
    "gait": lambda n: 1.0 - (n.contact - n.wanted).abs_().mean(0),
    "slip": lambda n: (n.foot_speed * n.contact).sum(0),
    "clearance": lambda n: (n.foot_height.square() * n.foot_speed.sqrt()).mul_(1.0 - n.wanted).sum(0),
    "air_time": lambda n: (n.air_time - 0.25 * (n.air_time > 0.0)).sum(0) * (1.0 - n.standing),
    "fall": lambda n: n.fallen.float(),
}
"""Terms [N] of any other shape."""

TERMS = (*OTHERS, *READINGS, *SQUARES)
assert set(TERMS) == {field.name for field in fields(RewardSettings)}


class Rewards:
    """The weighted sum of all terms, in units per control period of `period` s.

    `columns` tells where each signal stands among the `width` values that the physics gives of a world.
    """

    def __init__(self, settings: RewardSettings, period: float, columns: Mapping[str, slice], width: int) -> None:
        weights = {name: getattr(settings, name) * period for name in TERMS}
        self.names = tuple(name for name in TERMS if weights[name] != 0.0)
        self._others = [term for name, term in OTHERS.items() if name in self.names]
        self._of_others = torch.tensor([weights[name] for name in OTHERS if name in self.names])
        self._of_readings = torch.zeros(width)
        for name, (signal, part) in READINGS.items():
            self._of_readings[columns[signal]][part] += weights[name]
        self._squares = [(term, weights[name]) for name, term in SQUARES.items() if name in self.names]
        self._of_squares = torch.empty(0)

    def __call__(self, now: Now) -> Tensor:
        """The reward [N]."""
        reward = now.values.square() @ self._of_readings
        if self._others:
            reward += self._of_others @ torch.stack([term(now) for term in self._others])
        if self._squares:
            columns = [term(now) for term, _ in self._squares]
            if not len(self._of_squares):
                parts = zip(columns, self._squares, strict=True)
                self._of_squares = torch.cat([torch.full(part.shape[1:], weight) for part, (_, weight) in parts])
            reward.addmv_(torch.cat(columns, -1).square_(), self._of_squares)
        return reward
