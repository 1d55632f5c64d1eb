"""Fly any quadrotor, from 20 g to 5 kg, with one policy that finds out in flight what it flies.

Vehicles, starts, bounds and the 22 observed values are those of arXiv 2509.11481 and its public code; the signals are
those of the Crazyflie tasks. A command of the Crazyflie's full rotor speed is full speed on every vehicle.
"""

from __future__ import annotations

from dataclasses import replace

from policies.terms.observations import ClippedError, Reading, RotationMatrix
from policies.terms.stateful import ActionHistory
from sim.controllers.cascaded import CascadedTeacher
from sim.quadrotor.figures import Targets
from sim.quadrotor.privileged import FLIGHT_PRIVILEGED
from sim.quadrotor.rewards import FLIGHT_REWARDS
from sim.quadrotor.starts import disturbance, start_by_size
from sim.quadrotor.terminations import astray_by_size
from sim.quadrotor.vehicles import ANY_PRIVILEGED, ANY_VEHICLE, PUBLISHED_VEHICLE
from sim.quadrotor.world import QuadrotorWorld
from sim.robots.crazyflie import PARAMETERS
from sim.tasks import crazyflie
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER
from sim.terms.terms import Command, Event, Termination

NOMINAL = "crazyflie-2025"


def teacher(device: str) -> CascadedTeacher:
    """A controller that knows each vehicle's parameters."""
    return CascadedTeacher(PARAMETERS[NOMINAL], device=device)


QUADROTOR_ANY = replace(
    CRAZYFLIE_HOVER,
    name="quadrotor-any",
    summary="Fly any quadrotor from 20 g to 5 kg to a target, at rest or on a figure, with one policy.",
    sensors=crazyflie.sensors(tracking=True),
    observation={
        "position_error": ClippedError("position", 2.0, "target_position"),
        "rotation": RotationMatrix(),
        "velocity_error": ClippedError("linear_velocity", 4.0, "target_velocity"),
        "angular_velocity": Reading("angular_velocity", 3),
        "last_action": ActionHistory(1, 4),
    },
    safety=replace(
        crazyflie.SAFETY,
        max_position_error=2.0,
        max_speed=6.0,
        geofence_low=(-5.0, -5.0, -5.0),
        geofence_high=(5.0, 5.0, 5.0),
    ),
    world=QuadrotorWorld(NOMINAL, draws="vehicle"),
    rewards={
        name: replace(FLIGHT_REWARDS[name], weight=weight)
        for name, weight in (("alive", 150.0), ("position", -100.0), ("tilt", -10.0))
    },
    terminations={"astray": Termination(astray_by_size)},
    privileged={**FLIGHT_PRIVILEGED, **ANY_PRIVILEGED},
    events={
        **ANY_VEHICLE,
        "start": Event(start_by_size, "start"),
        "disturbance": Event(disturbance, "start"),
    },
    command_terms={
        "figure": Command(Targets, {"interval": (4.0, 18.0), "scale": (0.6, 1.05), "random_phase": True, "still": 0.5})
    },
    evaluated={"events": PUBLISHED_VEHICLE, "commands": {"figure": {"still": 1.0}}},
    teacher=teacher,
    recommended={
        "flight": {"reads": "truth", "hidden": (128, 128), "iterations": 300},
        "distill": {
            "actor": "gru",
            "memory": 16,
            "actor_hidden": (),
            "num_worlds": 512,
            "rollout_steps": 50,
            "iterations": 400,
            "teacher_share": 0.5,
            "updates": 20,
            "batch": 10_240,
            "capacity": 600_000,
            "bptt": 50,
            "learning_rate": 3e-3,
        },
    },
)
