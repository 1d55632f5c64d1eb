"""What an arm's end adds to a robot: a gripper and a tool frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from policies.errors import UserError
from sim.robots.robot import Frame, ModelSensor, Motor, Part, Robot


@dataclass(frozen=True)
class Gripper(Part):
    """Position-controlled finger joints, beside the robot's own; positions in m, or rad for hinges, per finger."""

    what: ClassVar[str] = "gripper"

    joints: tuple[str, ...]
    stiffness: float
    """N/m, or Nm/rad."""
    damping: float
    """N s/m, or Nm s/rad."""
    force: float
    """Largest force of a finger, N, or torque, Nm."""
    opened: tuple[float, ...]
    closed: tuple[float, ...]

    @property
    def motors(self) -> tuple[Motor, ...]:
        return tuple(Motor(joint, self.stiffness, self.damping, self.force) for joint in self.joints)

    def check(self, robot: Robot) -> None:
        for field in ("opened", "closed"):
            found = len(getattr(self, field))
            if not self.joints or found != len(self.joints):
                raise UserError(f"robot {robot.name}: {field} needs a position for each finger joint, got {found}")


@dataclass(frozen=True)
class Tool(Part):
    """The frame that an arm works with. Sensors: `tool_position`, `tool_orientation`, `tool_linear_velocity` and
    `tool_angular_velocity`, all in the world's axes."""

    what: ClassVar[str] = "tool frame"

    frame: Frame

    @property
    def frames(self) -> Mapping[str, Frame]:
        return {"tool": self.frame}

    @property
    def sensors(self) -> tuple[ModelSensor, ...]:
        return (
            ModelSensor("tool_position", "position", "tool"),
            ModelSensor("tool_orientation", "orientation", "tool"),
            ModelSensor("tool_linear_velocity", "linear_velocity", "tool"),
            ModelSensor("tool_angular_velocity", "angular_velocity", "tool"),
        )
