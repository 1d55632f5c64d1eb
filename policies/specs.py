"""Specifications of named sensors, commands and policy states, shared by simulation and robot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

Bounds = float | tuple[float, ...]
Between = Literal["mean", "first"]
"""How a state is updated when a policy is called several times within one control period."""


def expand(value: Bounds, dim: int, what: str) -> tuple[float, ...]:
    """`value` as one number per channel [dim]; one number applies to all. Raises ValueError for any other length."""
    values = (float(value),) * dim if isinstance(value, int | float) else tuple(float(v) for v in value)
    if len(values) != dim:
        raise ValueError(f"{what} has {len(values)} values, expected 1 or {dim}")
    return values


@dataclass(frozen=True)
class SensorSpec:
    """A named sensor that the robot has; its array is [batch, dim] float32.

    `low` and `high` bound what a healthy sensor can report, per channel or for all; the robot side treats values beyond
    them as a fault. `relative_to` names what the robot side subtracts first: "" (nothing) or "target". `labels` name
    the channels in order where the robot matches them by name, such as joints; otherwise empty. `rate_limit` is for a
    sensor that is a goal, such as a velocity command: the largest change per second in each channel that the policy was
    trained with; otherwise empty.
    """

    name: str
    dim: int
    unit: str
    frame: str
    low: Bounds
    high: Bounds
    relative_to: str = ""
    labels: tuple[str, ...] = ()
    rate_limit: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_signal(self.name, self.dim, self.low, self.high)
        if self.labels and (len(self.labels) != self.dim or len(set(self.labels)) != self.dim):
            raise ValueError(f"sensor {self.name}: labels must be {self.dim} different names, got {self.labels}")
        if self.relative_to not in ("", "target"):
            raise ValueError(f"sensor {self.name}: relative_to is {self.relative_to!r}, expected '' or 'target'")
        if self.rate_limit and not (len(self.rate_limit) == self.dim and all(rate > 0.0 for rate in self.rate_limit)):
            raise ValueError(f"sensor {self.name}: rate_limit must be {self.dim} positive rates, got {self.rate_limit}")


@dataclass(frozen=True)
class CommandSpec:
    """A named actuator command, [batch, dim] float32.

    `low` and `high` are hard limits in `unit`; `rate_limit` is the largest change per second that the safety supervisor
    lets through; `labels` name the channels in order; `safe` is the value that stops the actuators.
    """

    name: str
    dim: int
    unit: str
    low: Bounds
    high: Bounds
    rate_limit: float
    labels: tuple[str, ...]
    safe: Bounds = 0.0

    def __post_init__(self) -> None:
        _check_signal(self.name, self.dim, self.low, self.high)
        if len(self.labels) != self.dim or len(set(self.labels)) != self.dim:
            raise ValueError(f"command {self.name}: labels must be {self.dim} different names, got {self.labels}")
        if not self.rate_limit > 0.0:
            raise ValueError(f"command {self.name}: rate_limit must be above 0 {self.unit}/s, got {self.rate_limit}")
        low, high = expand(self.low, self.dim, "low"), expand(self.high, self.dim, "high")
        safe = expand(self.safe, self.dim, f"command {self.name}: safe")
        if not all(a <= s <= b for a, s, b in zip(low, safe, high, strict=True)):
            raise ValueError(f"command {self.name}: safe value {safe} lies outside [{low}, {high}]")


@dataclass(frozen=True)
class StateSpec:
    """A state tensor that the policy graph carries from step to step, [batch, dim], and its value after a reset.

    `between` says how the state is updated when the policy is called n times within one control period, each time from
    the same state. "mean": the mean of the n next states, for quantities that summarise the whole period, such as the
    action that drove the actuators or an integral. "first": the next state of the period's first call, for a sample at
    one instant.
    """

    name: str
    dim: int
    reset: Bounds = 0.0
    between: Between = field(kw_only=True)

    def __post_init__(self) -> None:
        if self.between not in get_args(Between):
            raise ValueError(f"state {self.name}: between is {self.between!r}, expected 'mean' or 'first'")
        if self.dim < 1:
            raise ValueError(f"state {self.name}: dim must be at least 1, got {self.dim}")
        expand(self.reset, self.dim, f"state {self.name}: reset")


def _check_signal(name: str, dim: int, low: Bounds, high: Bounds) -> None:
    if not name.isidentifier():
        raise ValueError(f"signal name {name!r} must be an identifier such as 'angular_velocity'")
    if dim < 1:
        raise ValueError(f"{name}: dim must be at least 1, got {dim}")
    lows, highs = expand(low, dim, f"{name}: low"), expand(high, dim, f"{name}: high")
    if not all(a < b for a, b in zip(lows, highs, strict=True)):
        raise ValueError(f"{name}: every low must be below its high, got {lows} and {highs}")


@dataclass(frozen=True)
class SafetyEnvelope:
    """The limits within which a deployed policy runs; beyond them the safety supervisor ends the run.

    `max_tilt` rad between body z and world z; `max_input_age` s of the newest sensor reading; `max_command_age` s from
    a reading to the use of the command computed from it. The others need a position estimate, and are all None for a
    robot without one, such as a legged robot: `max_position_error` m from the target in each axis; `max_speed` m/s;
    `geofence_low` and `geofence_high` m in the world frame, relative to where the robot was armed.
    """

    max_tilt: float
    max_input_age: float
    max_command_age: float
    max_position_error: float | None = None
    max_speed: float | None = None
    geofence_low: tuple[float, float, float] | None = None
    geofence_high: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class JointSpec:
    """Position-controlled joints, every tuple in the order of `names`; angles in rad.

    A joint's torque is stiffness * (target - q) - damping * qd, limited to +-torque_limit: Nm/rad, Nm s/rad and Nm.
    The robot stands in `stance` and lies at rest in `lying`; `low` and `high` are the joint limits.
    """

    names: tuple[str, ...]
    stance: tuple[float, ...]
    lying: tuple[float, ...]
    stiffness: tuple[float, ...]
    damping: tuple[float, ...]
    torque_limit: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
