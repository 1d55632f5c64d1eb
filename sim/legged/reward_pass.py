"""What a step of walking was worth: the weighted sum of the terms of sim.legged.rewards, and who has fallen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sim.legged import kernels
from sim.legged.settings import LeggedSettings
from sim.physics.passes import Pass
from sim.robots.legged import LeggedRobot
from sim.terms.terms import Reward


@dataclass(frozen=True)
class Now:
    """What a step is judged by; N worlds, J joints, F feet."""

    values: Tensor
    """The physics' own [N, S]."""
    before: Tensor
    """The same one step earlier."""
    steps: Tensor
    """Since each world's restart [N] int64."""
    told: Tensor
    """What the critics are told [N, D]: the direction of gravity in the base's frame comes first."""
    below: Tensor
    """Height of the ground below each foot and the base [N, F + 1], m."""
    command: Tensor
    """The velocity command that was followed [N, 3]."""
    action: Tensor
    """Normalised [N, J]."""
    last_action: Tensor
    """One step earlier."""
    older_action: Tensor
    """Two steps earlier."""
    air: Tensor
    """Time for which each foot had been in the air before this step [N, F], s."""
    failed: Tensor
    """Worlds [N] in quarantine: bool. Their reward is 0."""


@dataclass(frozen=True)
class Verdict:
    """What `Rewards` finds; N worlds, F feet."""

    reward: Tensor
    """[N]"""
    tracking: Tensor
    """How well the commanded velocity was followed, 1 for perfect: the term `track_velocity` [N]."""
    fallen: Tensor
    """Worlds [N] that lie, or are in quarantine: bool."""
    air: Tensor
    """Time for which each foot has been in the air [N, F], s; 0 on the ground."""


class Rewards:
    """Rewards in units per control period of `period` s.

    `columns` tells where each signal stands among the values that the physics gives of a world; `gait` is the clock's
    table; `rest` is the height of the feet's centres above the ground in the stance, m.
    """

    def __init__(
        self,
        settings: LeggedSettings,
        rewards: Mapping[str, Reward],
        robot: LeggedRobot,
        period: float,
        columns: Mapping[str, slice],
        gait: Tensor,
        rest: float,
    ) -> None:
        low, high = torch.tensor(robot.joint_low), torch.tensor(robot.joint_high)
        margin = 0.025 * (high - low)
        numbers = {
            "period": period,
            "stand_height": robot.stand_height,
            "clearance": settings.clearance,
            "rest": rest,
            "highest_gravity": -math.cos(settings.max_tilt),
            "lowest": settings.min_height * robot.stand_height,
        }
        self._fixed = [
            torch.tensor([rewards[name].weight * period if name in rewards else 0.0 for name in kernels.TERMS]),
            torch.tensor([columns[name].start for name in kernels.COLUMNS], dtype=torch.int32),
            torch.tensor([numbers[name] for name in kernels.NUMBERS]),
            torch.stack((torch.tensor(robot.stance), low + margin, high - margin)),
            gait,
        ]
        self._judge: Pass | None = None

    def __call__(self, now: Now) -> Verdict:
        n = len(now.values)
        given = [getattr(now, name) for name in _NOW]
        found = Verdict(torch.empty(n), torch.empty(n), torch.empty(n, dtype=torch.bool), torch.empty_like(now.air))
        results = [found.reward, found.tracking, found.fallen, found.air]
        if self._judge is None:
            self._judge = Pass(kernels.judge_worlds, n, self._fixed, [*given, *results])
        self._judge(*given, *results)
        return found


_NOW = tuple(field.name for field in fields(Now))
