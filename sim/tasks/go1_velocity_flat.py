"""Walk a Go1 on flat ground at a commanded velocity."""

from __future__ import annotations

from sim.legged.guide import GaitSettings
from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.robots.go1 import GO1

WEIGHTS = {
    "track_velocity": 2.0, "track_velocity_finely": 1.5, "velocity_error": -1.0, "track_yaw": 1.5, "yaw_error": -1.5,
    "gait": 0.3, "vertical_velocity": -0.5, "tilt_rate": -0.01, "tilt": -1.0, "height": -150.0, "power": -0.003,
    "acceleration": -3e-8, "action_rate": -0.02, "stance": -0.05, "slip": -0.02, "clearance": -30.0, "fall": -250.0,
}  # fmt: skip
"""The errors themselves, beside the kernels, pull from afar: a kernel is flat where a new command or a push leaves the
robot. With smaller weights of yaw the base swings within every stride, with a smaller one of height it crouches, with a
smaller one of clearance the feet drag, and without that of power the robot spends half as much again. With the other
terms any larger, going slowly and falling less earned more than tracking at first."""

SETTINGS = LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0), duty=0.6, frequency=3.0)
"""A trot: the diagonal legs together, three strides a second; with two and a half the base yaws more in a stride."""

PPO = {
    "rollout_steps": 24, "epochs": 4, "minibatches": 4, "iterations": 240, "target_kl": 0.02, "initial_std": 0.25,
    "final_std": 0.12, "imitation": 10, "symmetry": "augment", "update_threads": 2, "actor_hidden": (128, 128, 64),
    "critic_hidden": (128, 128, 64), "activation": "elu",
}  # fmt: skip

# Learning starts from a gait that goes at any speed, so the commands need no curriculum. The friction of a real Go1's
# joints is not published and may be many times that of the model.
GO1_VELOCITY_FLAT = (
    flat_task(GO1, SETTINGS, GaitSettings(lift=0.07), {"ppo": PPO})
    .with_settings({"rewards": WEIGHTS})
    .with_settings({"rewards": {"height": {"target": 0.28}}, "events": {"joint_damping": {"added": 1.3}}})
    .changed(curriculum={"command_range": None})
)
