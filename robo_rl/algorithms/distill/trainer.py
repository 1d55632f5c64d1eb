"""The entry of distillation in the table of algorithms: its settings, its policy, and the trainer of an arm."""

from __future__ import annotations

from importlib import import_module

from robo_rl.algorithms.distill.config import DistillConfig as DistillConfig
from robo_rl.algorithms.distill.students import make_policy as make_policy
from robo_rl.algorithms.registry import Algorithm
from sim.task import Task


def make_trainer(config: DistillConfig, task: Task, seed: int, device: str = "cpu") -> Algorithm:
    """The training of the arm that `config` names."""
    module, _, name = config.entry.trainer.partition(":")
    made: Algorithm = getattr(import_module(f"robo_rl.algorithms.distill.{module}"), name)(config, task, seed, device)
    return made
