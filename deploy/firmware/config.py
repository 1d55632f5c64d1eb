"""pilot_config.h: limits from a bundle's manifest for the pilot in C, and the code that fills the policy's sensors."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from deploy.bundle.manifest import Manifest
from deploy.codegen.kernels.constants import c_number
from deploy.codegen.names import comment
from deploy.errors import BundleError
from policies.specs import CommandSpec, SensorSpec

DESCENT_SPEED = 0.3
"""m/s, as in common/descent.c."""
SHORTEST_DESCENT = 12.0
"""s after which the chip's own descent ends in any case; longer for a higher geofence."""
VEHICLE = {
    "position": (3, "m"),
    "orientation": (4, "1"),
    "linear_velocity": (3, "m/s"),
    "angular_velocity": (3, "rad/s"),
}
"""Sensors that the chip provides, members of pilot_vehicle: name -> dim and unit."""
SETPOINT = {"target_position": (3, "m", "position"), "target_velocity": (3, "m/s", "velocity")}
"""Sensors that come from the host's setpoint: name -> dim, unit and member of pilot_setpoint."""
FRAMES = {"linear_velocity": "world", "angular_velocity": "body"}
"""Frames in which the pilot provides vector sensors."""


def pilot_config(manifest: Manifest) -> str:
    """The text of pilot_config.h. Raises BundleError, one line, for a robot that the pilot can't fly."""
    safety = manifest.safety
    if manifest.kind != "flight":
        raise BundleError(
            f"the firmware flies rotorcraft, this bundle is of kind {manifest.kind}; choose another bundle"
        )
    tilt, error, speed = safety.max_tilt, safety.max_position_error, safety.max_speed
    low, high = safety.geofence_low, safety.geofence_high
    if tilt is None or error is None or speed is None or low is None or high is None:
        raise BundleError(
            "its safety envelope has no tilt, geofence, speed or position error, which the firmware needs; "
            "export the policy with them"
        )
    if safety.imu is not None:
        raise BundleError("its IMU is turned on the robot, and the firmware takes readings along the body's own axes")
    command = _motor_command(manifest)
    moves = "\n".join(_filled(sensor) for sensor in manifest.sensors)
    follows = any(_follows(sensor) for sensor in manifest.sensors)
    descent = max(SHORTEST_DESCENT, high[2] / DESCENT_SPEED + 5.0)
    bounds = {sensor.name: sensor for sensor in manifest.sensors}
    return f"""\
/* Written by robo-rl from the manifest of {comment(manifest.identity.name)}. Do not edit: build the firmware again. */
#ifndef PILOT_CONFIG_H
#define PILOT_CONFIG_H

#include "policy.h"
#include "vehicle.h"

#define PILOT_STEP_S ({_float(manifest.timing.period)} / (float)POLICY_SUBSTEPS)

/* The command that drives the motors, in {comment(command.unit)}, and its rate limit in {comment(command.unit)}/s. */
#define PILOT_COMMAND {command.name}
#define PILOT_RATE_LIMIT {_float(command.rate_limit)}

/* The safety envelope: cos(max_tilt), m from the setpoint, m/s, and m from where it was armed. */
#define PILOT_COS_MAX_TILT {_float(math.cos(min(tilt, math.pi)))}
#define PILOT_MAX_POSITION_ERROR {_float(error)}
#define PILOT_MAX_SPEED {_float(speed)}
#define PILOT_FENCE_LOW {_floats(low)}
#define PILOT_FENCE_HIGH {_floats(high)}

/* Limits of a setpoint: beyond them the policy treats it as a faulty sensor. */
#define PILOT_TARGET_POSITION_LOW {_floats(_bound(bounds, "target_position", "low"))}
#define PILOT_TARGET_POSITION_HIGH {_floats(_bound(bounds, "target_position", "high"))}
#define PILOT_TARGET_VELOCITY_LOW {_floats(_bound(bounds, "target_velocity", "low"))}
#define PILOT_TARGET_VELOCITY_HIGH {_floats(_bound(bounds, "target_velocity", "high"))}

/* Whether the policy follows a setpoint and can fly the chip's own descent, and how long the descent may take. */
#define PILOT_FOLLOWS_SETPOINT {int(follows)}
#define PILOT_DESCENT_US {round(descent * 1e6)}u

/* Fill the policy's sensors from the vehicle's state and the setpoint. */
static inline void pilot_sensors(const pilot_vehicle *vehicle, const pilot_setpoint *setpoint,
                                 policy_sensors *sensors) {{
    (void)setpoint;
{moves}
}}

#endif
"""


def _motor_command(manifest: Manifest) -> CommandSpec:
    if len(manifest.commands) != 1 or manifest.commands[0].dim != 4:
        found = ", ".join(f"{c.name}[{c.dim}]" for c in manifest.commands)
        raise BundleError(f"the firmware drives four motors with one command, this bundle has {found}; choose another")
    return manifest.commands[0]


def _follows(sensor: SensorSpec) -> bool:
    return sensor.name == "target_position" or (sensor.name == "position" and sensor.relative_to == "target")


def _filled(sensor: SensorSpec) -> str:
    """The C statements that fill one sensor."""
    expected = VEHICLE.get(sensor.name) or SETPOINT.get(sensor.name)
    if expected is None:
        known = ", ".join((*VEHICLE, *SETPOINT))
        raise BundleError(f"the firmware does not provide the sensor {sensor.name!r}; it has {known}")
    if (sensor.dim, sensor.unit) != expected[:2]:
        raise BundleError(
            f"sensor {sensor.name!r} has {sensor.dim} values in {sensor.unit!r}, the firmware provides {expected[0]} "
            f"in {expected[1]!r}; export the policy with these"
        )
    frame = FRAMES.get(sensor.name, "")
    if not sensor.frame.startswith(frame):
        raise BundleError(f"sensor {sensor.name!r} is in the frame {sensor.frame!r}, the firmware provides {frame!r}")
    if sensor.name in SETPOINT:
        value = f"setpoint->{SETPOINT[sensor.name][2]}[{{}}]"
    else:
        value = f"vehicle->{sensor.name}[{{}}]"
        if sensor.relative_to == "target":
            value += f" - setpoint->{_subtracted(sensor)}[{{}}]"
    return "\n".join(f"    sensors->{sensor.name}[{i}] = {value.replace('{}', str(i))};" for i in range(sensor.dim))


def _subtracted(sensor: SensorSpec) -> str:
    member = {"position": "position", "linear_velocity": "velocity"}.get(sensor.name)
    if member is None:
        raise BundleError(f"sensor {sensor.name!r} can't be relative to the target; only position and velocity can")
    return member


def _bound(sensors: dict[str, SensorSpec], name: str, side: str) -> tuple[float, ...]:
    """A limit [3] of a sensor; +-1e38 for a policy without that sensor."""
    if name in sensors:
        return tuple(getattr(sensors[name], side))
    return (-1e38 if side == "low" else 1e38,) * 3


def _float(value: float) -> str:
    """A C literal for exactly the float32 nearest to `value`."""
    return c_number(np.float32(value))


def _floats(values: Iterable[float]) -> str:
    return "{" + ", ".join(_float(value) for value in values) + "}"


def thrust_header(manifest: Manifest, thrust: tuple[float, float, float]) -> str:
    """The text of thrust.h: the share of a motor's largest force as a polynomial of its command's share.

    Raises BundleError for a command other than rotor speeds, or a polynomial with negative or only zero coefficients.
    """
    command = _motor_command(manifest)
    if command.unit != "rad/s":
        raise BundleError(f"this target converts rotor speeds to forces, but the command is in {command.unit!r}")
    total = sum(thrust)
    if not (total > 0.0 and min(thrust) >= 0.0 and math.isfinite(total)):
        raise BundleError(f"the thrust polynomial is {thrust}, expected numbers of at least 0 and not all 0")
    c0, c1, c2 = (value / total for value in thrust)
    return f"""\
/* Written by robo-rl. Force as a share of its largest, from speed u as a share of its highest: c0 + c1 u + c2 u^2. */
#ifndef THRUST_H
#define THRUST_H

#define THRUST_C0 {_float(c0)}
#define THRUST_C1 {_float(c1)}
#define THRUST_C2 {_float(c2)}

#endif
"""
