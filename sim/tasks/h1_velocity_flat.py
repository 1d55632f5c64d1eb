"""Walk an H1 on flat ground at a commanded velocity: the same world as the Go1's, with other numbers."""

from __future__ import annotations

from sim.legged.rewards import walking_rewards
from sim.legged.settings import CommandSettings, ImperfectionSettings, LeggedSettings
from sim.legged.task import flat_task
from sim.legged.terminations import walking_terminations
from sim.robots.h1 import H1
from sim.tasks.go1_velocity_flat import PPO
from sim.terms.settings import with_settings

SETTINGS = LeggedSettings(
    gait=(0.0, 0.5),
    frequency=1.25,
    clearance=0.1,
    commands=CommandSettings(forward=1.0, sideways=0.4, yaw=0.8),
    imperfections=ImperfectionSettings(base_mass=4.0, joint_velocity_noise=0.2, push_speed=0.4, push_spin=0.2),
)
"""One foot after the other, one and a quarter strides a second. Torques are ten times the Go1's and count for less."""

WEIGHTS = {"torque": -2e-6, "tilt_rate": -0.1, "stance": -0.3, "fall": -100.0}

H1_VELOCITY_FLAT = flat_task(
    H1,
    SETTINGS,
    with_settings(walking_rewards(H1, SETTINGS.clearance), WEIGHTS, "rewards"),
    walking_terminations(H1, tilt=0.9, height=0.7),
    recommended={"ppo": {**PPO, "iterations": 800, "initial_std": 0.4, "final_std": 0.0, "imitation": 0}},
)
