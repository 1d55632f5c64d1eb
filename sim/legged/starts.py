"""Where walking episodes start: near the stance, with any heading."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim.legged import draws
from sim.physics.addresses import Addresses
from sim.physics.passes import StructPass
from sim.physics.protocol import JointedPhysics
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.terms.parameters import NonNegative
from sim.terms.terms import Event

_ABOVE = 0.01
"""Robots start so many metres above their stand height."""


class Starts:
    """Where the worlds that restart begin; rows of other worlds are left from earlier.

    Events of `when="start"` write `qpos` [N, nq] and `qvel` [N, nv]; `points` [K, 3] m are the points on the ground of
    the K worlds that restart now, None for the origin.
    """

    def __init__(self, physics: JointedPhysics, robot: Robot) -> None:
        at, nq = Addresses.of(physics.model, robot.base, robot.joints, physics.device), physics.qpos.shape[1]
        self.qpos, self.qvel = physics.qpos.contiguous().clone(), physics.qvel.contiguous().clone()
        self.points: Tensor | None = None
        self._joints = len(robot.joints)
        # Which of the numbers drawn for a start goes where: middle + spread * u, in the columns of qpos and qvel.
        width, device = nq + physics.qvel.shape[1], physics.device
        source = torch.zeros(width, dtype=torch.int64, device=device)
        middle, self._is_joint, self._is_speed = (torch.zeros(width, device=device) for _ in range(3))
        middle[:nq] = torch.tensor(physics.model.qpos0, device=device)
        middle[at.joints] = torch.tensor(robot.part(Legs).stance, device=device)
        for joint, value in robot.passive:
            middle[int(physics.model.joint(joint).qposadr[0])] = value
        speeds = slice(nq + at.velocity.start, nq + at.rates.stop)
        self._is_joint[at.joints] = self._is_speed[speeds] = 1.0
        source[speeds] = torch.arange(1, 7, device=device)
        source[at.joints] = torch.arange(7, 7 + self._joints, device=device)
        constant = {
            "source": source, "middle": middle, "qpos": self.qpos, "qvel": self.qvel, "position": at.position.start,
            "orientation": at.orientation.start, "height": robot.part(Legs).stand_height + _ABOVE,
        }  # fmt: skip
        self._pass = StructPass(
            draws.draw_starts, draws.StartDraws, len(self.qpos), str(device), constant,
            rows=("ids", "u", "cosine", "sine", "points"),
        )  # fmt: skip

    def draw(self, ids: Tensor, generator: torch.Generator, joints: float, speed: float) -> None:
        """Draw the rows of the worlds `ids` [K]: joints within `joints` rad of the stance, the base's velocity and
        rates within `speed` m/s and rad/s of 0 in each axis, any heading."""
        u = torch.rand(len(ids), 7 + 2 * self._joints, generator=generator, device=ids.device)
        points = u.new_zeros(len(ids), 3) if self.points is None else self.points
        # The single-precision sine of numpy, because that of torch differs in the last bit, and a seed's episodes stay.
        half = 0.5 * ((2.0 * u[:, 0] - 1.0) * math.pi).cpu().numpy()
        turned = {"cosine": torch.from_numpy(np.cos(half)).to(u), "sine": torch.from_numpy(np.sin(half)).to(u)}
        spread = self._is_joint * joints + self._is_speed * speed
        given = {"ids": ids, "u": u, "points": points.to(self.qpos), "spread": spread, **turned}
        self._pass(given, {"count": len(ids)})


def near_stance(
    scenario: Any, ids: Tensor, generator: torch.Generator, *, joints: NonNegative = 0.1, speed: NonNegative = 0.3
) -> None:
    """Joints within `joints` rad of the stance; the base's velocity and rates within `speed` m/s and rad/s of 0 in each
    axis; any heading."""
    scenario.starts.draw(ids, generator, joints, speed)


WALKING_STARTS = {"start": Event(near_stance, "start")}
"""Where the episodes of every walking task start."""
