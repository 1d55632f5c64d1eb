"""The goal of one tick: a mission gives it, and policy, supervisor and recording read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from real.contract.robot import Array


class Goal(Protocol):
    """What the robot should do in a tick."""

    @property
    def sensors(self) -> Mapping[str, Array]:
        """The inputs of a policy that come from the goal, not from the robot, by name [dim]."""
        ...


@dataclass(frozen=True)
class Target:
    """A position [3] in m and a velocity [3] in m/s along the world's axes."""

    position: Array
    velocity: Array

    @property
    def sensors(self) -> Mapping[str, Array]:
        """The target as sensors of a policy."""
        return {"target_position": self.position, "target_velocity": self.velocity}
