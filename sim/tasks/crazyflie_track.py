"""Track Lissajous figures with a Crazyflie: periods 15, 5.5 and 3.5 s at a scale of 1 m."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sim.quadrotor.figures import Targets
from sim.quadrotor.world import QuadrotorWorld
from sim.tasks import crazyflie
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER
from sim.terms.terms import Command

PERIODS = (15.0, 5.5, 3.5)  # s, as published


def flown(interval: tuple[float, float]) -> Mapping[str, Any]:
    """Settings of an evaluation with figures whose periods lie within `interval` s: flown from rest, level and a hand's
    breadth off the figure's centre, 2 s to join and then at full speed."""
    calm = {"at_target": 0.0, "position": 0.05, "angle": 0.1, "linear_velocity": 0.1, "angular_velocity": 0.1}
    figure = {"interval": interval, "scale": (1.0, 1.0), "random_phase": False}
    return {"events": {"start": calm}, "commands": {"figure": figure}}


# Training starts tumbling anywhere on any figure.
CRAZYFLIE_TRACK = replace(
    CRAZYFLIE_HOVER,
    name="crazyflie-track",
    summary="Track Lissajous figures with periods from 15 s down to 3.5 s.",
    sensors=crazyflie.sensors(tracking=True),
    observation=crazyflie.observation(tracking=True),
    episode_steps=1700,
    world=QuadrotorWorld(crazyflie.ROBOT, training_steps=500),
    command_terms={"figure": Command(Targets, {"interval": (3.2, 18.0), "scale": (0.6, 1.05), "random_phase": True})},
    evaluated=flown((PERIODS[-1], PERIODS[0])),
    # Figures are tracked to millimetres: more iterations, and a price on small offsets and not on brisk actions.
    recommended={"flight": {"iterations": 900, "learning_rate": 8e-3, "precision": 1e-3, "change_weight": 3e-3}},
)
