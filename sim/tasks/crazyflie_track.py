"""Track Lissajous figures with a Crazyflie: periods 15, 5.5 and 3.5 s at a scale of 1 m."""

from __future__ import annotations

from dataclasses import replace

from sim.environment import VectorEnvironment
from sim.quadrotor.figures import Figures
from sim.quadrotor.starts import QuadrotorStart
from sim.quadrotor.world import Flights, QuadrotorWorld
from sim.tasks import crazyflie
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER

PERIODS = (15.0, 5.5, 3.5)  # s, as published
TRAINING_FIGURES = Figures(interval=(3.2, 18.0), scale=(0.6, 1.05), random_phase=True)
# A tracked flight starts level and at rest at the figure's centre, a hand's breadth off.
CALM = QuadrotorStart(0.0, 0.05, 0.1, 0.1, 0.1)


WORLD = QuadrotorWorld(
    crazyflie.ROBOT,
    crazyflie.NOISE,
    flights=Flights(CALM, Figures(interval=(PERIODS[-1], PERIODS[0]))),
    training=Flights(figures=TRAINING_FIGURES, steps=500),
)
"""Training starts tumbling anywhere on any figure; otherwise figures are flown from rest: 2 s to join, then 15 s at
full speed."""

CRAZYFLIE_TRACK = replace(
    CRAZYFLIE_HOVER,
    name="crazyflie-track",
    summary="Track Lissajous figures with periods from 15 s down to 3.5 s.",
    sensors=crazyflie.sensors(tracking=True),
    observation=crazyflie.observation(tracking=True),
    episode_steps=1700,
    world=WORLD,
    # Figures are tracked to millimetres: more iterations, and a price on small offsets and not on brisk actions.
    recommended={"flight": {"iterations": 900, "learning_rate": 8e-3, "precision": 1e-3, "change_weight": 3e-3}},
)


def figure_environment(num_worlds: int, seed: int, interval: tuple[float, float], robot: str = "") -> VectorEnvironment:
    """The task's world with figures whose intervals lie within `interval` s."""
    world = replace(WORLD, flights=Flights(CALM, Figures(interval=interval)))
    return world(CRAZYFLIE_TRACK, num_worlds, seed, robot=robot)
