"""Proximal policy optimisation (arXiv 1707.06347) with an asymmetric critic.

One iteration: N worlds act for T steps with the current policy (rollout.py); advantages come from GAE (arXiv
1506.02438); a few epochs of clipped updates follow (update.py). What differs from the textbook, each for a reason:

- The critic reads the simulator's truth, the policy its sensors only, so nothing privileged can reach a robot.
- A time-out is no end of the task: its last value is bootstrapped from the observation before the reset.
- The critic's output is rescaled to the returns' mean and spread (PopArt, arXiv 1602.07714): one step size fits any
  reward.
- A robot with two equal sides learns from its mirror image, too (arXiv 2403.04359).
- Worlds, random draws and minibatches are divided into blocks (blocks.py), so that several processes learn what one
  would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.networks.normalizer import RunningNormalizer
from policies.signals import Truth
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.ppo.actor import Actor, find_mirrors
from robo_rl.algorithms.ppo.actor import make_policy as make_policy
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.algorithms.ppo.rollout import Collector
from robo_rl.algorithms.ppo.update import AuxiliaryLoss, Minibatch, Updater
from robo_rl.training import parallel
from sim.task import Task


class PpoTrainer:
    """PPO on one task. `auxiliary` adds a loss to every minibatch, as distillation needs.

    In a group of processes (robo_rl/training/parallel.py) each one holds its share of the worlds, and all hold the
    same policy.
    Raises UserError when worlds and processes do not divide, or the task has not the symmetry that is asked for.
    """

    def __init__(
        self, config: PpoConfig, task: Task, seed: int, device: str = "cpu", auxiliary: AuxiliaryLoss | None = None
    ) -> None:
        self.config = config
        self.iteration = 0
        self.steps = 0
        self._processes = parallel.current()
        self._guide = task.guide
        if config.imitation and task.guide is None:
            raise UserError(f"{task.name} has no guide to imitate; train it with imitation 0")
        blocks = WorldBlocks(task, config.num_worlds, config.blocks, seed, device, config.randomized, self._processes)
        with torch.random.fork_rng(devices=[]):
            # Weights are drawn on the CPU, so one seed gives one start on every device and in every process.
            torch.manual_seed(seed)
            self._actor = Actor(config, task, device)
            self.critic = Critic(task.critic_dim, config.critic_hidden, config.activation).to(device)
        first = blocks.reset()
        mirrors = None
        if config.symmetry != "none":
            truth = Truth({name: value[: blocks.size] for name, value in first[1].items()})
            mirrors = find_mirrors(task, blocks.environments[0], truth)
        self._updater = Updater(config, self._actor, self.critic, mirrors, blocks, self._processes, auxiliary)
        doubled = config.symmetry == "augment"
        self._collector = Collector(
            blocks, first, self._actor, self.critic, mirrors, config.rollout_steps, doubled, self._processes
        )

    @property
    def graph(self) -> PolicyGraph:
        return self._actor.graph

    def keep_failures(self, folder: Path) -> None:
        """Write the last states of worlds that fail in the physics into `folder`."""
        self._collector.blocks.keep_failures(folder)

    @property
    def log_std(self) -> Tensor:
        """The logarithm [A] of the actions' spread."""
        return self._actor.log_std

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self._updater.optimizer

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Everything that is trained."""
        return self._updater.parameters

    @property
    def total_iterations(self) -> int:
        return self.config.iterations

    def iterate(self) -> dict[str, float]:
        """One rollout and the updates on it. Raises TrainingDiverged when every minibatch was non-finite."""
        self._updater.guide = self._imitated if self.iteration < self.config.imitation else None
        rollout, metrics = self._collector.collect(self.config.discount, self.config.gae_lambda)
        metrics.update(self._updater.update(rollout, self.iteration))
        self._bound_std()
        # Only now, so that the first update sees exactly the observations that the rollout's policy saw.
        self._collector.update_normalizers(rollout.fault)
        self.iteration += 1
        self.steps += self.config.num_worlds * self.config.rollout_steps
        return metrics

    def _bound_std(self) -> None:
        c = self.config
        if c.final_std > 0.0:
            progress = min(1.0, 2.0 * self.iteration / c.iterations)
            bound = math.log(c.initial_std) + progress * math.log(c.final_std / c.initial_std)
            with torch.no_grad():
                self.log_std.clamp_(max=bound)

    def _imitated(self, batch: Minibatch) -> Tensor:
        normalizer = self.graph.normalizer
        assert isinstance(normalizer, RunningNormalizer) and self._guide is not None
        # A recurrent policy's rows are worlds, with their steps before them; a guide takes plain rows.
        rows = batch.observation.flatten(0, -2)
        actions: Tensor = self._guide(normalizer.inverse(rows)).unflatten(0, batch.observation.shape[:-1])
        return actions

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the future, whole in process 0; every process must call it."""
        shares = self._processes.gather(self._collector.snapshot())
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.graph.state_dict(),
            "critic": self.critic.state_dict(),
            "log_std": self.log_std.detach().clone(),
            "optimizer": self.optimizer.state_dict(),
            "blocks": [block for share in shares for block in share],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, whose blocks may have been held by another number of processes."""
        self.iteration, self.steps = state["iteration"], state["steps"]
        self.graph.load_state_dict(state["graph"])
        self.critic.load_state_dict(state["critic"])
        with torch.no_grad():
            self.log_std.copy_(state["log_std"])
        self.optimizer.load_state_dict(state["optimizer"])
        blocks = state["blocks"]
        share = self.config.blocks // self._processes.size
        self._collector.restore(blocks[self._processes.rank * share : (self._processes.rank + 1) * share])
