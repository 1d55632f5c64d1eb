"""Hold a Crazyflie at a point: the published initial distribution, disturbances, noise and termination."""

from __future__ import annotations

from sim.physics.backends import ROTOR_BACKENDS
from sim.quadrotor.privileged import FLIGHT_PRIVILEGED
from sim.quadrotor.randomization import FLIGHT_RANDOMIZATION
from sim.quadrotor.rewards import FLIGHT_REWARDS
from sim.quadrotor.starts import FLIGHT_STARTS
from sim.quadrotor.terminations import FLIGHT_TERMINATIONS
from sim.quadrotor.world import QuadrotorWorld
from sim.task import Task
from sim.tasks import crazyflie

CRAZYFLIE_HOVER = Task(
    name="crazyflie-hover",
    summary="Recover a Crazyflie from any tilt up to 90 degrees and hold it at a point.",
    kind="flight",
    sensors=crazyflie.sensors(tracking=False),
    commands=crazyflie.COMMANDS,
    observation=crazyflie.observation(tracking=False),
    action=crazyflie.ACTION,
    period=crazyflie.PERIOD,
    backends=tuple(ROTOR_BACKENDS),
    episode_steps=500,
    safety=crazyflie.SAFETY,
    world=QuadrotorWorld(crazyflie.ROBOT),
    rewards=FLIGHT_REWARDS,
    terminations=FLIGHT_TERMINATIONS,
    privileged=FLIGHT_PRIVILEGED,
    events={**FLIGHT_RANDOMIZATION, **FLIGHT_STARTS},
    sensor_models={model.sensor: model for model in crazyflie.NOISE},
    any_rate=True,
    teacher=crazyflie.teacher,
    recommended={
        "flight": {},
        "sac": {
            "steps": 4,
            "updates": 8,
            "warm_up": 16_384,
            "lookahead": 5,
            "reward_scale": 0.2,
            "target_rate": 0.01,
            "initial_temperature": 0.2,
            "iterations": 800,
        },
    },
)
