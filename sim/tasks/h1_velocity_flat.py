"""Walk an H1 on flat ground at a commanded velocity: the same world as the Go1's, with other numbers."""

from __future__ import annotations

from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.robots.h1 import H1
from sim.robots.legs import Legs
from sim.tasks.go1_velocity_flat import PPO

SETTINGS = LeggedSettings(gait=(0.0, 0.5), frequency=1.25, clearance=0.1)
"""One foot after the other, one and a quarter strides a second."""

H1_VELOCITY_FLAT = flat_task(
    H1,
    SETTINGS,
    recommended={"ppo": {**PPO, "iterations": 800, "initial_std": 0.4, "final_std": 0.0, "imitation": 0}},
).with_settings(
    {
        # Torques are ten times the Go1's and count for less.
        "rewards": {"torque": -2e-6, "tilt_rate": -0.1, "stance": -0.3, "fall": -100.0},
        "terminations": {"fall": {"tilt": 0.9, "height": 0.7 * H1.part(Legs).stand_height}},
        "commands": {"velocity": {"forward": 1.0, "sideways": 0.4, "yaw": 0.8}},
        "events": {"base_mass": {"range": 4.0}, "push": {"speed": 0.4, "spin": 0.2}},
        "sensor_models": {"joint_velocity": {"noise": 0.2}},
    }
)
