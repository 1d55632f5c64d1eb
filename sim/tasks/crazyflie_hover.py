"""Hold a Crazyflie at a point: the published initial distribution, disturbances, noise and termination."""

from __future__ import annotations

from sim.environment import VectorEnvironment
from sim.quadrotor.scenario import CRITIC_DIM
from sim.task import Task
from sim.tasks import crazyflie


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
    return crazyflie.make_environment(
        num_worlds, seed, device, robot=robot, randomized=randomized, imperfections=imperfections, substeps=substeps
    )


CRAZYFLIE_HOVER = Task(
    name="crazyflie-hover",
    summary="Recover a Crazyflie from any tilt up to 90 degrees and hold it at a point.",
    kind="flight",
    sensors=crazyflie.sensors(tracking=False),
    commands=crazyflie.COMMANDS,
    observation=crazyflie.observation(tracking=False),
    action=crazyflie.ACTION,
    period=crazyflie.PERIOD,
    episode_steps=500,
    critic_dim=CRITIC_DIM,
    safety=crazyflie.SAFETY,
    world=make_environment,
    any_rate=True,
    teacher=crazyflie.teacher,
    recommended={"flight": {}},
)
