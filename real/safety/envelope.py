"""What a healthy robot of a kind stays within: the part of the supervision that differs between kinds of robots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from deploy.bundle.manifest import CommandEntry, Joints, Manifest
from real.contract.events import Fault
from real.contract.goal import Goal, Target
from real.contract.robot import Array, Reading
from real.contract.state_machine import State

JOINT_COMMAND = "joint_position_target"
POSITION_TARGET = "position_target"
"""The command of a robot that flies itself: where to be, in m along the world's axes."""
GROUND_MARGIN = 0.5
"""How far, in m, below the assumed ground a landing may go: the ground's height is known no better."""


class Envelope(Protocol):
    """Judges good readings and commands within their limits; it fires nothing itself."""

    demanded: Mapping[str, int]
    """What it needs of every reading, and its dim, whatever the policy reads."""

    def begin(self, reading: Reading, ground: float) -> Mapping[str, Array] | None:
        """Start at `reading`; the command that the robot is at already, name -> [dim], or None where there is none."""

    def attitude(self, reading: Reading) -> list[Fault]:
        """What of the robot's own state speaks against going on, and against starting."""

    def place(self, reading: Reading, state: State, goal: Goal) -> list[Fault]:
        """What of where the robot is speaks against going on."""

    def limit(self, entry: CommandEntry, value: Array, reading: Reading) -> tuple[Array, Fault | None]:
        """`value` [dim], already within its limits, as the actuators can bear it; and what was changed."""


def envelope_of(manifest: Manifest) -> Envelope:
    """The envelope for the robot of a bundle; a ValueError, in one line, when the bundle does not hold together."""
    return PlaceEnvelope(manifest) if manifest.joints is None else JointEnvelope(manifest, manifest.joints)


class PlaceEnvelope:
    """Of a robot that knows where it is: tilt, speed, distance to the target, and a geofence."""

    demanded: Mapping[str, int] = {"position": 3, "orientation": 4, "linear_velocity": 3}

    def __init__(self, manifest: Manifest) -> None:
        safety = manifest.safety
        if safety.max_position_error is None or safety.max_speed is None:
            raise ValueError("its bundle has no geofence and speed limit, which a flight needs")
        if safety.geofence_low is None or safety.geofence_high is None:
            raise ValueError("its bundle has no geofence, which a flight needs")
        self._max_tilt = safety.max_tilt
        self._max_error = safety.max_position_error
        self._max_speed = safety.max_speed
        self._fence = np.array(safety.geofence_low), np.array(safety.geofence_high)
        self._origin: Array | None = None
        self._ground = -math.inf

    def begin(self, reading: Reading, ground: float) -> Mapping[str, Array] | None:
        """The geofence's origin is where the robot is; `ground` m is the ground's height in the world."""
        self._origin, self._ground = reading.sensors["position"].copy(), ground
        return None

    def attitude(self, reading: Reading) -> list[Fault]:
        """Tilt and speed."""
        faults = tilt_faults(reading, self._max_tilt)
        speed = float(np.linalg.norm(reading.sensors["linear_velocity"]))
        if not speed <= self._max_speed:
            faults.append(Fault("speed", speed, self._max_speed))
        return faults

    def place(self, reading: Reading, state: State, goal: Goal) -> list[Fault]:
        """Distance to the target, and the geofence."""
        faults = []
        position = reading.sensors["position"]
        if isinstance(goal, Target):
            error = float(np.abs(position - goal.position).max())
            if not error <= self._max_error:
                faults.append(Fault("position_error", error, self._max_error))
        if self._origin is None:
            return faults
        moved = position - self._origin
        low, high = self._fence[0].copy(), self._fence[1]
        if state == State.LAND:
            # The way down must not end at a fence that was drawn for the flight: the ground lies below it.
            low[2] = min(low[2], self._ground - self._origin[2] - GROUND_MARGIN)
        outside = np.maximum(low - moved, moved - high)
        axis = int(np.argmax(outside))
        if not outside[axis] <= 0.0:
            limit = low[axis] if moved[axis] < low[axis] else high[axis]
            faults.append(Fault("geofence", float(moved[axis]), float(limit), "xyz"[axis]))
        return faults

    def limit(self, entry: CommandEntry, value: Array, reading: Reading) -> tuple[Array, Fault | None]:
        """A target stays where the vehicle may be, and above the lowest point of a landing; rotor speeds are free."""
        if entry.name != POSITION_TARGET or self._origin is None:
            return value, None
        low, high = self._origin + self._fence[0], self._origin + self._fence[1]
        low[2] = min(low[2], self._ground - GROUND_MARGIN)
        inside = np.clip(value, low, high)
        axis = int(np.argmax(np.abs(value - inside)))
        if value[axis] == inside[axis]:
            return value, None
        return inside, Fault("command_clamped", float(value[axis]), float(inside[axis]), f"{entry.name} {'xyz'[axis]}")


class JointEnvelope:
    """Of a legged robot: tilt, and the torque that a joint target would ask of its motor.

    The predicted torque is stiffness * (target - q) - damping * qd, with the bundle's gains and the newest reading. A
    target that asks for more than the torque limit is moved towards q until it asks for the limit.
    """

    def __init__(self, manifest: Manifest, joints: Joints) -> None:
        entry = next((c for c in manifest.commands if c.name == JOINT_COMMAND), None)
        if entry is None or len(manifest.commands) != 1:
            raise ValueError(f"its commands are not {JOINT_COMMAND} alone, which a robot with joints takes")
        if set(entry.labels) != set(joints.names):
            raise ValueError(f"{JOINT_COMMAND} has the labels {entry.labels}, its joints are {joints.names}")
        self._max_tilt = manifest.safety.max_tilt
        count = len(joints.names)
        self.demanded: Mapping[str, int] = {"orientation": 4, "joint_position": count, "joint_velocity": count}
        order = [joints.names.index(label) for label in entry.labels]
        self._low, self._high = np.array(entry.low), np.array(entry.high)
        self._stiffness, self._damping, self._torque = (
            np.array(values)[order] for values in (joints.stiffness, joints.damping, joints.torque_limit)
        )
        self._position = order_of(manifest, "joint_position", entry.labels)
        self._velocity = order_of(manifest, "joint_velocity", entry.labels)

    def begin(self, reading: Reading, ground: float) -> Mapping[str, Array] | None:
        """The joints are where they are: the first command may differ from that by the rate limit alone."""
        return {JOINT_COMMAND: np.clip(reading.sensors["joint_position"][self._position], self._low, self._high)}

    def attitude(self, reading: Reading) -> list[Fault]:
        """Tilt."""
        return tilt_faults(reading, self._max_tilt)

    def place(self, reading: Reading, state: State, goal: Goal) -> list[Fault]:
        """Nothing: the robot does not know where it is."""
        return []

    def limit(self, entry: CommandEntry, value: Array, reading: Reading) -> tuple[Array, Fault | None]:
        """The target whose predicted torque is within the torque limit, and within the limits of travel."""
        q = reading.sensors["joint_position"][self._position]
        brake = self._damping * reading.sensors["joint_velocity"][self._velocity]
        low, high = ((side * self._torque + brake) / self._stiffness + q for side in (-1.0, 1.0))
        limited = np.clip(np.clip(value, low, high), self._low, self._high)
        torque = self._stiffness * (value - q) - brake
        worst = int(np.argmax(np.abs(torque) - self._torque))
        # What rounding adds is no event.
        if abs(torque[worst]) <= self._torque[worst] * (1.0 + 1e-6):
            return limited, None
        return limited, Fault("torque_clamped", float(torque[worst]), float(self._torque[worst]), entry.labels[worst])


def order_of(manifest: Manifest, sensor: str, labels: Sequence[str]) -> list[int]:
    """Where in `sensor` each of `labels` is. A driver orders a sensor as its labels say, and else as the joints."""
    assert manifest.joints is not None
    known = sensor_labels(manifest, sensor)
    if set(known) != set(labels):
        raise ValueError(f"sensor {sensor} has the labels {known}, its joints are {tuple(labels)}")
    return [known.index(label) for label in labels]


def sensor_labels(manifest: Manifest, sensor: str) -> tuple[str, ...]:
    """The joints in the order in which `sensor` has them."""
    assert manifest.joints is not None
    entry = next((s for s in manifest.sensors if s.name == sensor), None)
    return manifest.joints.names if entry is None or not entry.labels else entry.labels


def tilt_faults(reading: Reading, limit: float) -> list[Fault]:
    """The angle in rad between body z and world z, if it is beyond `limit`."""
    _, x, y, _ = reading.sensors["orientation"] / np.linalg.norm(reading.sensors["orientation"])
    tilt = math.acos(min(1.0, max(-1.0, float(1.0 - 2.0 * (x * x + y * y)))))
    return [] if tilt <= limit else [Fault("tilt", tilt, limit)]
