"""Arms that are PPO alone: the teacher, the blind policy, a code of the past, an asymmetric actor-critic."""

from __future__ import annotations

from robo_rl.algorithms.distill.config import DistillConfig, ppo_settings
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from sim.task import Task


def make_trainer(config: DistillConfig, task: Task, seed: int, device: str) -> PpoTrainer:
    """PPO with a policy of sensors, or of the truth for arm teacher."""
    reads = "truth" if config.arm == "teacher" else "sensors"
    return PpoTrainer(ppo_settings(config, reads=reads), task, seed, device)
