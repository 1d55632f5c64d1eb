"""The safety envelope: one check for each part that the manifest has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from policies.specs import CommandSpec, JointSpec, MotorSpec
from real.contract.events import Fault
from real.contract.goal import Goal, Target
from real.contract.mounting import Mount, body_orientation
from real.contract.offer import (
    JOINT_COMMAND,
    JOINT_POSITION,
    JOINT_VELOCITY,
    LINEAR_VELOCITY,
    ORIENTATION,
    POSITION,
    POSITION_TARGET,
    Signal,
)
from real.contract.robot import Array, RobotReading
from real.contract.state_machine import State

GROUND_MARGIN = 0.5
"""How far, in m, a landing may go below the assumed ground, whose height is uncertain by as much."""


class Check:
    """One part of an envelope, for good readings and commands within their limits. It fires nothing itself.

    Each method does nothing unless a check says otherwise.
    """

    demanded: tuple[Signal, ...] = ()
    """The signals it needs of every reading, even if the policy does not read them."""

    def begin(self, reading: RobotReading, ground: float) -> Mapping[str, Array]:
        """Start at `reading`, with the ground at `ground` m; the commands that describe the robot's present state, name
        -> [dim]."""
        return {}

    def state_faults(self, reading: RobotReading) -> list[Fault]:
        """Faults of the robot's own state, which end a run and keep one from starting."""
        return []

    def position_faults(self, reading: RobotReading, state: State, goal: Goal) -> list[Fault]:
        """Position faults that end the run."""
        return []

    def limit(self, entry: CommandSpec, value: Array, reading: RobotReading) -> tuple[Array, Fault | None]:
        """`value` [dim], already within its limits, changed so that the robot can follow it; and what was changed."""
        return value, None


class Tilt(Check):
    """The angle between body z and world z, in rad; `imu` is how the IMU is turned on the body."""

    demanded = (ORIENTATION,)

    def __init__(self, limit: float, imu: Mount | None = None) -> None:
        self._limit, self._imu = limit, imu

    def state_faults(self, reading: RobotReading) -> list[Fault]:
        orientation = body_orientation(reading.sensors["orientation"], self._imu)
        _, x, y, _ = orientation / np.linalg.norm(orientation)
        tilt = math.acos(max(-1.0, float(1.0 - 2.0 * (x * x + y * y))))  # Rounding may lead below -1.
        return [] if tilt <= self._limit else [Fault("tilt", tilt, self._limit)]


class Speed(Check):
    """The length of the velocity, in m/s."""

    demanded = (LINEAR_VELOCITY,)

    def __init__(self, limit: float) -> None:
        self._limit = limit

    def state_faults(self, reading: RobotReading) -> list[Fault]:
        speed = float(np.linalg.norm(reading.sensors["linear_velocity"]))
        return [] if speed <= self._limit else [Fault("speed", speed, self._limit)]


class PositionError(Check):
    """The distance to the target in each axis, in m, where there is a target."""

    demanded = (POSITION,)

    def __init__(self, limit: float) -> None:
        self._limit = limit

    def position_faults(self, reading: RobotReading, state: State, goal: Goal) -> list[Fault]:
        if not isinstance(goal, Target):
            return []
        error = float(np.abs(reading.sensors["position"] - goal.position).max())
        return [] if error <= self._limit else [Fault("position_error", error, self._limit)]


class Geofence(Check):
    """A box in m along the world's axes, relative to where the robot was armed."""

    demanded = (POSITION,)

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        self._low, self._high = np.array(low), np.array(high)
        self._origin: Array | None = None
        self._ground = -math.inf

    def begin(self, reading: RobotReading, ground: float) -> Mapping[str, Array]:
        """The origin is where the robot is."""
        self._origin, self._ground = reading.sensors["position"].copy(), ground
        return {}

    def position_faults(self, reading: RobotReading, state: State, goal: Goal) -> list[Fault]:
        if self._origin is None:
            return []
        moved = reading.sensors["position"] - self._origin
        low, high = self._low.copy(), self._high
        if state == State.LAND:
            # A landing must not end at the fence of the flight, because the ground lies below it.
            low[2] = min(low[2], self._ground - self._origin[2] - GROUND_MARGIN)
        outside = np.maximum(low - moved, moved - high)
        axis = int(np.argmax(outside))
        if outside[axis] <= 0.0:
            return []
        limit = low[axis] if moved[axis] < low[axis] else high[axis]
        return [Fault("geofence", float(moved[axis]), float(limit), "xyz"[axis])]

    def limit(self, entry: CommandSpec, value: Array, reading: RobotReading) -> tuple[Array, Fault | None]:
        """A commanded position stays where the robot may be, and above the lowest point of a landing."""
        if entry.name != POSITION_TARGET.name or self._origin is None:
            return value, None
        low, high = self._origin + self._low, self._origin + self._high
        low[2] = min(low[2], self._ground - GROUND_MARGIN)
        inside = np.clip(value, low, high)
        axis = int(np.argmax(np.abs(value - inside)))
        if value[axis] == inside[axis]:
            return value, None
        return inside, Fault("command_clamped", float(value[axis]), float(inside[axis]), f"{entry.name} {'xyz'[axis]}")


class JointTargets(Check):
    """Joint targets start at the joints' positions and, where the motors' gains are known, stay within their torque.

    The predicted torque is stiffness * (target - q) - damping * qd, with the bundle's gains and the newest reading. A
    target that asks for more than the torque limit is moved towards q until it asks for the limit.
    """

    def __init__(self, manifest: Manifest, joints: JointSpec) -> None:
        entry = next((c for c in manifest.commands if c.name == JOINT_COMMAND), None)
        if entry is None:
            raise UserError(f"it has joints and does not command {JOINT_COMMAND}")
        if set(entry.labels) != set(joints.names):
            raise UserError(f"{entry.name} has the labels {entry.labels}, its joints are {joints.names}")
        self._low, self._high = np.array(entry.low), np.array(entry.high)
        self._labels = entry.labels
        self._position = order_of(manifest, "joint_position", entry.labels)
        self.demanded = (_of_joints(JOINT_POSITION, manifest),)
        self._motors: _Motors | None = None
        if joints.motors is not None:
            self.demanded += (_of_joints(JOINT_VELOCITY, manifest),)
            order = [joints.names.index(label) for label in entry.labels]
            self._motors = _Motors(joints.motors, order, order_of(manifest, "joint_velocity", entry.labels))

    def begin(self, reading: RobotReading, ground: float) -> Mapping[str, Array]:
        """The first command may differ from the joint positions only by the rate limit."""
        measured = reading.sensors["joint_position"][self._position]
        return {JOINT_COMMAND: np.clip(measured, self._low, self._high)}

    def limit(self, entry: CommandSpec, value: Array, reading: RobotReading) -> tuple[Array, Fault | None]:
        """The target whose predicted torque is within the torque limit, and within the limits of travel."""
        motors = self._motors
        if motors is None or entry.name != JOINT_COMMAND:
            return value, None
        q = reading.sensors["joint_position"][self._position]
        brake = motors.damping * reading.sensors["joint_velocity"][motors.velocity]
        low, high = ((side * motors.torque + brake) / motors.stiffness + q for side in (-1.0, 1.0))
        limited = np.clip(np.clip(value, low, high), self._low, self._high)
        torque = motors.stiffness * (value - q) - brake
        worst = int(np.argmax(np.abs(torque) - motors.torque))
        # Changes by rounding are not recorded.
        if abs(torque[worst]) <= motors.torque[worst] * (1.0 + 1e-6):
            return limited, None
        return limited, Fault("torque_clamped", float(torque[worst]), float(motors.torque[worst]), self._labels[worst])


class _Motors:
    """Gains and torque limits in the order of the command, and where each joint's velocity is in its sensor."""

    def __init__(self, motors: MotorSpec, order: list[int], velocity: list[int]) -> None:
        self.stiffness, self.damping, self.torque = (
            np.array(values)[order] for values in (motors.stiffness, motors.damping, motors.torque_limit)
        )
        self.velocity = velocity


def checks_of(manifest: Manifest) -> tuple[Check, ...]:
    """The checks of a bundle's robot; a UserError, in one line, when the bundle contradicts itself."""
    safety, checks = manifest.safety, list[Check]()
    if safety.max_tilt is not None:
        checks.append(Tilt(safety.max_tilt, safety.imu))
    if safety.max_speed is not None:
        checks.append(Speed(safety.max_speed))
    if safety.max_position_error is not None:
        checks.append(PositionError(safety.max_position_error))
    if safety.geofence_low is not None and safety.geofence_high is not None:
        checks.append(Geofence(safety.geofence_low, safety.geofence_high))
    if manifest.joints is not None:
        checks.append(JointTargets(manifest, manifest.joints))
    return tuple(checks)


def demanded_by(checks: Sequence[Check]) -> tuple[Signal, ...]:
    """The signals that the checks need of every reading, each once."""
    return tuple({signal.name: signal for check in checks for signal in check.demanded}.values())


def order_of(manifest: Manifest, sensor: str, labels: Sequence[str]) -> list[int]:
    """Where in `sensor` each of `labels` is."""
    known = sensor_labels(manifest, sensor)
    if set(known) != set(labels):
        raise UserError(f"sensor {sensor} has the labels {known}, its joints are {tuple(labels)}")
    return [known.index(label) for label in labels]


def sensor_labels(manifest: Manifest, sensor: str) -> tuple[str, ...]:
    """The joints in the order of `sensor`: the bundle's own, or joints.names for one that the policy does not read."""
    assert manifest.joints is not None
    return next((s.labels for s in manifest.sensors if s.name == sensor), manifest.joints.names)


def _of_joints(signal: Signal, manifest: Manifest) -> Signal:
    labels = sensor_labels(manifest, signal.name)
    return Signal(signal.name, len(labels), signal.unit, signal.frame, labels)
