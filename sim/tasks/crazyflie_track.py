"""Track Lissajous figures with a Crazyflie: periods 15, 5.5 and 3.5 s at a scale of 1 m."""

from __future__ import annotations

from sim.environment import VectorEnvironment
from sim.quadrotor.figures import Figures
from sim.quadrotor.scenario import CRITIC_DIM, QuadrotorSettings
from sim.quadrotor.starts import QuadrotorStart
from sim.task import Task
from sim.tasks import crazyflie

PERIODS = (15.0, 5.5, 3.5)  # s, as published
TRAINING_FIGURES = Figures(interval=(3.2, 18.0), scale=(0.6, 1.05), random_phase=True)
# A tracked flight starts level and at rest at the figure's centre, a hand's breadth off.
CALM = QuadrotorSettings(start=QuadrotorStart(0.0, 0.05, 0.1, 0.1, 0.1))


def make_environment(
    task: Task,
    num_worlds: int,
    seed: int,
    device: str = "cpu",
    *,
    robot: str = "",
    randomized: bool = False,
    imperfections: float = 1.0,
    substeps: int = 1,
) -> VectorEnvironment:
    """Training (`randomized`) starts tumbling anywhere on any figure; otherwise see `figure_environment`."""
    if randomized:
        return crazyflie.make_environment(
            num_worlds,
            seed,
            device,
            robot=robot,
            randomized=True,
            imperfections=imperfections,
            figures=TRAINING_FIGURES,
            substeps=substeps,
        )
    return figure_environment(num_worlds, seed, (PERIODS[-1], PERIODS[0]), device, robot, imperfections, substeps)


def figure_environment(
    num_worlds: int,
    seed: int,
    interval: tuple[float, float],
    device: str = "cpu",
    robot: str = "",
    imperfections: float = 1.0,
    substeps: int = 1,
) -> VectorEnvironment:
    """Figures with intervals within `interval` s, flown from rest: 2 s to join, then 15 s at full speed."""
    return crazyflie.make_environment(
        num_worlds,
        seed,
        device,
        robot=robot,
        imperfections=imperfections,
        figures=Figures(interval=interval),
        settings=CALM,
        episode_steps=1700,
        substeps=substeps,
    )


CRAZYFLIE_TRACK = Task(
    name="crazyflie-track",
    summary="Track Lissajous figures with periods from 15 s down to 3.5 s.",
    kind="flight",
    sensors=crazyflie.sensors(tracking=True),
    commands=crazyflie.COMMANDS,
    observation=crazyflie.observation(tracking=True),
    action=crazyflie.ACTION,
    period=crazyflie.PERIOD,
    episode_steps=1700,
    critic_dim=CRITIC_DIM,
    safety=crazyflie.SAFETY,
    world=make_environment,
    any_rate=True,
    teacher=crazyflie.teacher,
    # Figures are tracked to millimetres: more iterations, and a price on small offsets and not on brisk actions.
    recommended={"flight": {"iterations": 900, "learning_rate": 8e-3, "precision": 1e-3, "change_weight": 3e-3}},
)
