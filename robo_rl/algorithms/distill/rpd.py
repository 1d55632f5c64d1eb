"""Refined policy distillation (arXiv 2503.05833): PPO, drawn towards what a teacher would do.

The mean squared difference to the teacher's action, at every state that the student visits, joins PPO's losses; with
`label_annealed` its weight falls as .5 cos(pi t / T) + .5, so that the student can pass a teacher that is not perfect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from policies.errors import UserError
from policies.graph.symmetry import SignedPermutation
from policies.signals import State
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.distill.config import DistillConfig, ppo_settings
from robo_rl.algorithms.distill.teachers import Labels, find_teacher, further_tasks
from robo_rl.algorithms.ppo.actor import Actor, Mirrors
from robo_rl.algorithms.ppo.extension import Extension
from robo_rl.algorithms.ppo.minibatch import Minibatch
from robo_rl.algorithms.ppo.trainer import PpoTrainer, Start
from sim.task import Task


def make_trainer(config: DistillConfig, task: Task, seed: int, device: str) -> PpoTrainer:
    """PPO with the teacher's labels. Raises UserError for a teacher that is missing, does not fit, or teaches several
    tasks."""
    if further_tasks(config.teacher, task):
        raise UserError("arm rpd trains in one task; name teachers for kinds of ground, or use --arm dagger")

    def extension(blocks: WorldBlocks, first: Start) -> Refinement:
        teacher = find_teacher(config.teacher, task, blocks, first)
        return Refinement(config, Labels(teacher, blocks.num_worlds, blocks.device))

    return PpoTrainer(ppo_settings(config), task, seed, device, extension)


class Refinement(Extension):
    """The teacher's labels as a column of the rollout, and the loss that compares them."""

    def __init__(self, config: DistillConfig, labels: Labels) -> None:
        super().__init__()
        self._config, self._labels = config, labels
        self._worlds: ActingWorlds | None = None
        self._weight = config.label_coefficient

    def columns(self) -> dict[str, int]:
        return {"label": self._labels.teacher.action.dim}

    def mirrors(self, mirrors: Mirrors) -> dict[str, SignedPermutation]:
        return {"label": mirrors.action}

    def begin(self, iteration: int, worlds: ActingWorlds) -> None:
        c = self._config
        fallen = 0.5 * math.cos(math.pi * iteration / c.iterations) + 0.5
        self._weight = c.label_coefficient * (fallen if c.label_annealed else 1.0)
        self._worlds = worlds

    def record(self) -> Mapping[str, Tensor]:
        assert self._worlds is not None
        return {"label": self._labels.of(self._worlds)}

    def settle(self, action: Tensor, done: Tensor) -> None:
        self._labels.settle(action, done)

    def held(self) -> Mapping[str, Mapping[str, Tensor]]:
        return {"labels": self._labels.state}

    def hold(self, held: Mapping[str, Mapping[str, Tensor]]) -> None:
        self._labels.state = State(held["labels"])

    def loss(self, batch: Minibatch, means: Tensor, actor: Actor) -> tuple[Tensor, dict[str, Tensor]]:
        actions = torch.tanh(means) if actor.network.squash else means
        difference = (actions - batch.extra["label"]).square().mean()
        return self._weight * difference, {"imitation_loss": difference.detach()}
