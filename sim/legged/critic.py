"""What a walking robot's critic is told: one row a world, filled in one pass over all worlds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sim.legged import kernels
from sim.legged.randomization import PARAMETERS
from sim.physics.passes import Pass
from sim.robots.legged import LeggedRobot


def critic_parts(robot: LeggedRobot) -> dict[str, int]:
    """Names in the truth and widths of what a critic is told, in its order."""
    joints, feet = len(robot.joints), len(robot.feet)
    return {
        "gravity": 3, "linear_velocity": 3, "angular_velocity": 3, "joint_position": joints, "joint_velocity": joints,
        "next_command": 3, "last_action": joints, "gait_clock": 2, "foot_contact": feet, "foot_height": feet,
        "base_height": 1, "parameters": len(PARAMETERS),
    }  # fmt: skip


def critic_dim(robot: LeggedRobot) -> int:
    """Width of the critic's observation."""
    return sum(critic_parts(robot).values())


class CriticRows:
    """`columns` tells where each signal stands among the values that the physics gives of a world; `gait` is the
    clock's table."""

    def __init__(self, robot: LeggedRobot, columns: Mapping[str, slice], gait: Tensor) -> None:
        parts = critic_parts(robot)
        self._names, self._widths = tuple(parts), list(parts.values())
        at = torch.tensor([columns[name].start for name in kernels.COLUMNS], dtype=torch.int32)
        self._fixed = [at, gait]
        self._tell: Pass | None = None

    def fill(
        self,
        values: Tensor,
        steps: Tensor,
        below: Tensor,
        command: Tensor,
        action: Tensor,
        parameters: Tensor,
        zeros: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """A new row for each world [N, D]; and, in the same pass, what each robot feels [N, F] (see `Layout`).

        Of the physics' `values` [N, S], steps since the restart [N], the ground's height below feet and base [N, F + 1]
        in m, the next command [N, 3], the last action [N, J], what was drawn of the robots [N, P] and the zero errors
        of what they feel [N, F].
        """
        rows, felt = torch.empty(len(values), sum(self._widths)), torch.empty_like(zeros)
        given = (values, steps, below, command, action, parameters, zeros, rows, felt)
        if self._tell is None:
            self._tell = Pass(kernels.tell_critics, len(values), self._fixed, given)
        self._tell(*given)
        return rows, felt

    def signals(self, rows: Tensor) -> dict[str, Tensor]:
        """The rows' parts [N, .] by name, as views."""
        return dict(zip(self._names, rows.split(self._widths, -1), strict=True))

    def join(self, truth: Mapping[str, Tensor]) -> Tensor:
        """The rows [N, D] of a truth's signals."""
        return torch.cat([truth[name] for name in self._names], -1)
