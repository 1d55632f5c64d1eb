"""What a robot shall do in one tick: the goal that a mission gives and that policy, supervisor and recording read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from real.contract.robot import Array


class Goal(Protocol):
    """What the robot shall do in a tick."""

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
        """What a policy that reads the target gets."""
        return {"target_position": self.position, "target_velocity": self.velocity}
