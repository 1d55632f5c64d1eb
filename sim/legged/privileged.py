"""What a walking robot's critic sees, and the signals that its sensors measure: one pass over all worlds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from sim.legged import row_kernels
from sim.legged.plan import PARAMETERS
from sim.physics.passes import StructPass
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.terms.terms import Privileged, Signal


def walking_privileged(robot: Robot) -> dict[str, Privileged]:
    """What the critic of every walking task sees: signals of the truth, in the order of the rows below."""
    joints, feet = len(robot.joints), len(robot.part(Legs).feet)
    widths = {
        "gravity": 3, "linear_velocity": 3, "angular_velocity": 3, "joint_position": joints, "joint_velocity": joints,
        "next_command": 3, "last_action": joints, "gait_clock": 2, "foot_contact": feet, "foot_height": feet,
        "base_height": 1, "parameters": len(PARAMETERS),
    }  # fmt: skip
    return {name: Privileged(Signal(name), width) for name, width in widths.items()}


class PrivilegedRows:
    """`constant` holds the fields of `sim.legged.row_kernels.RowInputs` that a robot and its gait fix."""

    def __init__(self, robot: Robot, constant: Mapping[str, Any], num_worlds: int, device: str) -> None:
        self.terms = walking_privileged(robot)
        """The terms that a row holds, in order."""
        ends = list(accumulate((term.dim for term in self.terms.values()), initial=0))
        self.columns = {name: slice(*ends[i : i + 2]) for i, name in enumerate(self.terms)}
        """Where each term is in a row."""
        self._width = ends[-1]
        self._count = num_worlds
        self._device = device
        self._pass = StructPass(
            row_kernels.fill_rows, row_kernels.RowInputs, num_worlds, device, constant,
            results=("privileged", "observed", "air_after"),
        )  # fmt: skip

    def fill(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """New rows: what critics see [N, D], what the sensors measure [N, M] (see `Layout`), and for how long each foot
        has been in the air [N, F], s, 0 on the ground.

        Of the physics' `values` [N, S], `steps` since the restart [N], the ground's height `below` feet and base
        [N, F + 1] in m, the next `command` [N, 3], the last `action` [N, J], what was `drawn` of the robots [N, P], the
        `zeros` of what the sensors measure [N, M], and for how long each foot was in the `air` before this step [N, F].
        """
        results = {
            "privileged": torch.empty(self._count, self._width, device=self._device),
            "observed": torch.empty_like(inputs["zeros"]),
            "air_after": torch.empty_like(inputs["air"]),
        }
        self._pass({**inputs, **results})
        return results["privileged"], results["observed"], results["air_after"]

    def further(self, terms: Mapping[str, Privileged]) -> dict[str, Privileged] | None:
        """The `terms` after those that a row holds; None when they don't begin with these."""
        own = len(self.terms)
        return dict(list(terms.items())[own:]) if list(terms.items())[:own] == list(self.terms.items()) else None
