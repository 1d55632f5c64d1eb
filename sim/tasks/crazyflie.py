"""What the Crazyflie tasks share: signals, observation, action and safety envelope."""

from __future__ import annotations

from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import rotor_speed
from policies.terms.observations import ClippedError, ObservationTerm, Reading, RotationMatrix
from policies.terms.stateful import ActionHistory, ErrorIntegral, RateOfChange
from sim.controllers.cascaded import CascadedTeacher
from sim.robots.crazyflie import PARAMETERS
from sim.sensors import SensorModel

PERIOD = 0.01  # s
HISTORY = 32  # control periods that the action history holds
ROBOT = "crazyflie"
MAX_SPEED = PARAMETERS[ROBOT].max_speed

ACTION = rotor_speed(MAX_SPEED)
COMMANDS = (
    # A whole range within one period is allowed: the published policy commands rotors directly, and their lag filters
    # it.
    CommandSpec(
        "rotor_speed", 4, "rad/s", 0.0, MAX_SPEED, MAX_SPEED / PERIOD, ("rotor_1", "rotor_2", "rotor_3", "rotor_4")
    ),
)


def teacher(device: str) -> CascadedTeacher:
    """The controller that learning may imitate."""
    return CascadedTeacher(PARAMETERS["crazyflie"], device=device)


def sensors(tracking: bool) -> tuple[SensorSpec, ...]:
    """The Crazyflie's sensors; when `tracking`, position is absolute, and the command adds the target's sensors."""
    return (
        SensorSpec("position", 3, "m", "world", -100.0, 100.0, "" if tracking else "target"),
        SensorSpec("orientation", 4, "1", "body to world, w x y z", -1.01, 1.01),
        SensorSpec("linear_velocity", 3, "m/s", "world", -30.0, 30.0),
        SensorSpec("angular_velocity", 3, "rad/s", "body", -40.0, 40.0),
    )


def observation(tracking: bool) -> dict[str, ObservationTerm]:
    """146 values: position error 3, rotation matrix 9, velocity error 3, body rates 3, the last 32 actions 128.

    When `tracking`, 6 more: the integral of the position error, and the target's acceleration.
    """
    terms: dict[str, ObservationTerm] = {
        "position_error": ClippedError("position", 0.6, "target_position" if tracking else ""),
        "rotation": RotationMatrix(),
        "velocity_error": ClippedError("linear_velocity", 2.0, "target_velocity" if tracking else ""),
        "angular_velocity": Reading("angular_velocity", 3),
        "action_history": ActionHistory(HISTORY, 4),
    }
    if not tracking:
        return terms
    return {
        **terms,
        "error_integral": ErrorIntegral("position", "target_position", limit=0.15, scale=20.0, period=PERIOD),
        "target_acceleration": RateOfChange("target_velocity", limit=15.0, scale=0.1, period=PERIOD),
    }


# Published noise (arXiv 2311.13081, public code); there the orientation's acts on the entries of the rotation matrix.
NOISE = (
    SensorModel("position", noise=0.001),
    SensorModel("orientation", noise=0.001, rotation=True),
    SensorModel("linear_velocity", noise=0.002),
    SensorModel("angular_velocity", noise=0.002),
)

SAFETY = SafetyEnvelope(
    max_tilt=1.4,
    max_position_error=0.8,
    max_speed=4.0,
    max_input_age=0.1,
    max_command_age=0.1,
    geofence_low=(-2.0, -2.0, -2.0),
    geofence_high=(2.0, 2.0, 2.0),
)
