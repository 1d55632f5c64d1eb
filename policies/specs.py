"""Specifications of named sensors, commands and policy states, of a safety envelope and of joints.

Simulation and robot share them: tasks and a bundle's manifest (deploy/bundle/manifest.py) consist of the same
specifications. This module imports only the standard library, because a robot's computer reads manifests with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Bounds = float | tuple[float, ...]
"""One number per channel, or one for all."""
Between = Literal["mean", "first"]
"""How a state is updated when a policy is called several times within one control period."""


def expand(value: Bounds, dim: int, what: str) -> tuple[float, ...]:
    """`value` as one number per channel [dim]; one number applies to all. Raises ValueError for any other length."""
    values = (float(value),) * dim if isinstance(value, int | float) else tuple(float(v) for v in value)
    _require(len(values) == dim, f"{what} has {len(values)} values, expected 1 or {dim}")
    return values


@dataclass(frozen=True, init=False)
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
    low: tuple[float, ...]
    high: tuple[float, ...]
    relative_to: str
    labels: tuple[str, ...]
    rate_limit: tuple[float, ...]

    def __init__(
        self,
        name: str,
        dim: int,
        unit: str,
        frame: str,
        low: Bounds,
        high: Bounds,
        relative_to: str = "",
        labels: tuple[str, ...] = (),
        rate_limit: tuple[float, ...] = (),
    ) -> None:
        what = f"sensor {name!r}"
        lows, highs = _limits(what, name, dim, low, high)
        _require(
            not labels or len(labels) == dim == len(set(labels)),
            f"{what}: labels are {labels}, expected none or {dim} different names",
        )
        _require(relative_to in ("", "target"), f"{what}: relative_to is {relative_to!r}, expected '' or 'target'")
        _require(
            not rate_limit or (len(rate_limit) == dim and all(rate > 0.0 for rate in rate_limit)),
            f"{what}: rate_limit is {rate_limit}, expected none or {dim} positive rates",
        )
        _set(
            self, name=name, dim=dim, unit=unit, frame=frame, low=lows, high=highs, relative_to=relative_to,
            labels=labels, rate_limit=rate_limit,
        )  # fmt: skip


@dataclass(frozen=True, init=False)
class CommandSpec:
    """A named actuator command, [batch, dim] float32.

    `low` and `high` are hard limits in `unit`; `rate_limit` is the largest change per second that the safety supervisor
    lets through; `labels` name the channels in order; `safe` is the value that stops the actuators; `frame` names the
    command's axes, such as "body" or "joint"; "" for a command without axes, such as rotor speeds.
    """

    name: str
    dim: int
    unit: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    rate_limit: float
    labels: tuple[str, ...]
    safe: tuple[float, ...]
    frame: str

    def __init__(
        self,
        name: str,
        dim: int,
        unit: str,
        low: Bounds,
        high: Bounds,
        rate_limit: float,
        labels: tuple[str, ...],
        safe: Bounds = 0.0,
        frame: str = "",
    ) -> None:
        what = f"command {name!r}"
        lows, highs = _limits(what, name, dim, low, high)
        _require(
            len(labels) == dim and len(set(labels)) == dim,
            f"{what}: labels are {labels}, expected {dim} different names",
        )
        _require(rate_limit > 0.0, f"{what}: rate_limit is {rate_limit}, expected more than 0 {unit}/s")
        value = expand(safe, dim, f"{what}: safe")
        inside = all(a <= v <= b for a, v, b in zip(lows, value, highs, strict=True))
        _require(inside, f"{what}: safe {value} lies outside its limits")
        _set(
            self, name=name, dim=dim, unit=unit, low=lows, high=highs, rate_limit=rate_limit, labels=labels, safe=value,
            frame=frame,
        )  # fmt: skip


@dataclass(frozen=True, init=False)
class StateSpec:
    """A state tensor that the policy graph carries from step to step, [batch, dim], and its value after a reset.

    `between` says how the state is updated when the policy is called n times within one control period, each time from
    the same state. "mean": the mean of the n next states, for quantities that summarise the whole period, such as the
    action that drove the actuators or an integral. "first": the next state of the period's first call, for a sample at
    one instant.
    """

    name: str
    dim: int
    reset: tuple[float, ...]
    between: Between

    def __init__(self, name: str, dim: int, reset: Bounds = 0.0, *, between: Between) -> None:
        what = f"state {name!r}"
        _require(between in get_args(Between), f"{what}: between is {between!r}, expected 'mean' or 'first'")
        _check_name(what, name, dim)
        _set(self, name=name, dim=dim, reset=expand(reset, dim, f"{what}: reset"), between=between)


@dataclass(frozen=True)
class SafetyEnvelope:
    """The limits within which a deployed policy runs; beyond them the safety supervisor ends the run.

    `max_tilt` rad between body z and world z; `max_input_age` s of the newest sensor reading; `max_command_age` s from
    a reading to the use of the command computed from it; `max_position_error` m from the target in each axis;
    `max_speed` m/s; `geofence_low` and `geofence_high` m along the world's axes, relative to where the robot was armed.
    `imu` is the orientation of the axes of the orientation sensor in the body frame, w x y z; None for the body's own.

    Every limit except the ages may be None, which switches its check off, such as the tilt of an arm that is bolted
    down. The policy's kind (real/missions/kinds.py) requires some of them and refuses a bundle without.
    """

    max_tilt: float | None
    max_input_age: float
    max_command_age: float
    max_position_error: float | None = None
    max_speed: float | None = None
    geofence_low: tuple[float, float, float] | None = None
    geofence_high: tuple[float, float, float] | None = None
    imu: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        for field in ("max_tilt", "max_input_age", "max_command_age", "max_position_error", "max_speed"):
            value = getattr(self, field)
            _require(value is None or value > 0.0, f"safety.{field} is {value}, expected more than 0")
        low, high = self.geofence_low, self.geofence_high
        _require((low is None) == (high is None), "safety.geofence_low and geofence_high belong together: both or none")
        if low is not None and high is not None:
            ordered = all(a < b for a, b in zip(low, high, strict=True))
            _require(ordered, "safety.geofence_low must be below safety.geofence_high in each axis")


@dataclass(frozen=True)
class MotorSpec:
    """Motors of joints with a target: torque = stiffness * (target - q) - damping * qd, limited to +-torque_limit.

    Units are Nm/rad, Nm s/rad and Nm, with one value per joint.
    """

    stiffness: tuple[float, ...]
    damping: tuple[float, ...]
    torque_limit: tuple[float, ...]

    def __post_init__(self) -> None:
        for field, least in (("stiffness", "> 0"), ("torque_limit", "> 0"), ("damping", ">= 0")):
            values = getattr(self, field)
            good = all(value > 0.0 or (value == 0.0 and least == ">= 0") for value in values)
            _require(good, f"joints.motors.{field} are {values}, expected all {least}")


@dataclass(frozen=True)
class JointSpec:
    """Position-controlled joints, every tuple in the order of `names`; angles in rad.

    `low` and `high` are the joint limits. `motors` is None if the gains are unknown. `stance` is the pose in which the
    robot stands or waits, `lying` the one in which it lies at rest; None if a robot has no such pose.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    motors: MotorSpec | None = None
    stance: tuple[float, ...] | None = None
    lying: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        _require(count > 0 and len(set(self.names)) == count, f"joints.names are {self.names}, expected different ones")
        parts: dict[str, tuple[float, ...] | None] = {n: getattr(self, n) for n in ("low", "high", "stance", "lying")}
        if self.motors is not None:
            parts |= {f"motors.{name}": values for name, values in vars(self.motors).items()}
        for name, values in parts.items():
            if values is not None:
                _require(len(values) == count, f"joints.{name} has {len(values)} values, expected {count}")
        for name in ("stance", "lying"):
            pose = parts[name]
            inside = pose is None or all(a <= v <= b for a, v, b in zip(self.low, pose, self.high, strict=True))
            _require(inside, f"joints.{name} lies outside joints.low and joints.high")


def _limits(what: str, name: str, dim: int, low: Bounds, high: Bounds) -> tuple[tuple[float, ...], tuple[float, ...]]:
    _check_name(what, name, dim)
    lows, highs = expand(low, dim, f"{what}: low"), expand(high, dim, f"{what}: high")
    _require(all(a < b for a, b in zip(lows, highs, strict=True)), f"{what}: every low must be below its high")
    return lows, highs


def _check_name(what: str, name: str, dim: int) -> None:
    _require(name.isidentifier(), f"{what}: the name must be an identifier such as 'angular_velocity'")
    _require(dim >= 1, f"{what}: dim is {dim}, expected at least 1")


def _set(spec: object, **fields: Any) -> None:
    """Fill a frozen dataclass."""
    for name, value in fields.items():
        object.__setattr__(spec, name, value)


def _require(good: bool, message: str) -> None:
    if not good:
        raise ValueError(message)
