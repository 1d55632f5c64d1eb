"""Proximal policy optimisation (arXiv 1707.06347) with an asymmetric critic.

One iteration: N worlds act for T steps with the current policy (ppo_rollout.py); advantages come from GAE (arXiv
1506.02438); a few epochs of clipped updates follow (ppo_update.py). What differs from the textbook, each for a reason:

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph import PolicyGraph
from policies.networks import Activation
from policies.normalizer import RunningNormalizer
from policies.signals import Truth
from policies.validation import require, require_choice, require_widths
from robo_rl import parallel
from robo_rl.algorithms.blocks import MOST_BLOCKS, WorldBlocks
from robo_rl.algorithms.ppo_actor import Actor, find_mirrors
from robo_rl.algorithms.ppo_actor import make_graph as make_graph
from robo_rl.algorithms.ppo_rollout import Collector
from robo_rl.algorithms.ppo_update import AuxiliaryLoss, Minibatch, Updater
from robo_rl.critic import Critic
from sim.task import Task


@dataclass(frozen=True)
class PpoConfig:
    """Settings of PPO. One iteration takes num_worlds * rollout_steps environment steps."""

    num_worlds: int = 1024
    """Simulated robots that act at once, over all processes together."""
    blocks: int = 1
    """Equal blocks of worlds, each with random draws of its own: processes share the training by whole blocks, and the
    result does not depend on how many there are."""
    randomized: bool = True
    """Draw the robot's dynamics anew for every episode, where the task knows how."""
    iterations: int = 300
    """Rollouts with updates until training ends."""
    rollout_steps: int = 32
    """Steps of every world in a rollout."""
    epochs: int = 5
    """Passes over each rollout."""
    minibatches: int = 4
    """Parts that each pass splits the rollout into; one gradient step each."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    target_kl: float = 0.01
    """KL divergence per gradient step that the step size adapts to; 0 keeps the step size as it is."""
    discount: float = 0.99
    """Discount factor per step."""
    gae_lambda: float = 0.95
    """Decay of generalised advantage estimation: 0 trusts the critic, 1 the rollout."""
    clip: float = 0.2
    """Range of the probability ratio beyond which it earns nothing more."""
    value_clip: float = 0.0
    """Range in which the value may move in one update, in spreads of the return; 0 leaves it free."""
    value_coefficient: float = 1.0
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus."""
    max_gradient_norm: float = 1.0
    """Largest norm of the gradient of all weights together."""
    distribution: Literal["clipped", "squashed"] = "clipped"
    """How a Gaussian sample becomes an action in [-1, 1]: cut off, or through tanh."""
    initial_std: float = 0.5
    """Standard deviation of the normalised action at the start."""
    final_std: float = 0.0
    """Bound of the standard deviation from half of the iterations on, reached exponentially; 0 leaves
    it to the gradient. A policy that learns among large random actions compensates for them, and errs without them."""
    imitation: int = 0
    """Iterations at the start that learn to act as the task's scripted guide would; the critic learns as ever."""
    imitation_minibatches: int = 32
    """Minibatches of each pass while imitating: many small steps, for there is no policy gradient to be noisy."""
    imitation_coefficient: float = 10.0
    """Weight of the imitation loss, the mean squared difference of normalised actions."""
    symmetry: Literal["none", "augment", "loss"] = "none"
    """Whether the robot's mirror symmetry is learned from: not, from mirror images in place of half of all samples, or
    by a loss on what differs in the mirror."""
    symmetry_coefficient: float = 1.0
    """Weight of the symmetry loss."""
    actor: Literal["mlp", "gru", "history"] = "mlp"
    """The policy's network: without memory, recurrent, or with a code of past observations."""
    memory: int = 128
    """Units of a recurrent policy's memory."""
    history: int = 10
    """Past observations that a history policy remembers."""
    history_code: int = 32
    """Numbers that a history policy encodes them in."""
    update_threads: int = 1
    """Threads that share each minibatch; results differ in the last bits with another number."""
    actor_hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critic's hidden layers."""
    activation: Activation = "tanh"
    """Activation of both networks."""

    def __post_init__(self) -> None:
        for field in ("num_worlds", "iterations", "rollout_steps", "epochs", "minibatches", "memory", "history"):
            require(self, field, low=1)
        require(self, "blocks", low=1, high=MOST_BLOCKS)
        require(self, "history_code", low=1)
        require(self, "update_threads", low=1, high=64)
        for field in ("learning_rate", "clip", "max_gradient_norm", "initial_std"):
            require(self, field, above=0.0)
        for field in ("target_kl", "value_clip", "value_coefficient", "entropy_coefficient", "symmetry_coefficient"):
            require(self, field, low=0.0)
        require(self, "final_std", low=0.0, high=self.initial_std)
        require(self, "imitation", low=0)
        require(self, "imitation_minibatches", low=1)
        require(self, "imitation_coefficient", above=0.0)
        rows = max(1, self.num_worlds // self.blocks) * (1 if self.actor == "gru" else self.rollout_steps)
        require(self, "minibatches", high=rows)
        require(self, "discount", low=0.0, high=1.0)
        require(self, "gae_lambda", low=0.0, high=1.0)
        require_choice(self, "distribution", ("clipped", "squashed"))
        require_choice(self, "symmetry", ("none", "augment", "loss"))
        require_choice(self, "actor", ("mlp", "gru", "history"))
        require_choice(self, "activation", ("tanh", "relu", "elu"))
        require_widths(self, "actor_hidden")
        require_widths(self, "critic_hidden")


_WALKING = PpoConfig(
    rollout_steps=24, epochs=4, minibatches=4, iterations=260, target_kl=0.02,
    initial_std=0.25, final_std=0.08, imitation=10, symmetry="augment", update_threads=2,
    actor_hidden=(128, 128, 64), critic_hidden=(128, 128, 64),
    activation="elu",
)  # fmt: skip
RECOMMENDED: dict[str, PpoConfig] = {
    "go1-velocity-flat": _WALKING,
    "go1-velocity-rough": replace(_WALKING, iterations=480, initial_std=0.18, final_std=0.07),
    "h1-velocity-flat": replace(_WALKING, iterations=800, initial_std=0.4, final_std=0.0, imitation=0),
}


class PpoTrainer:
    """PPO on one task. `auxiliary` adds a loss to every minibatch, as distillation needs.

    In a group of processes (robo_rl/parallel.py) each one holds its share of the worlds, and all hold the same policy.
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
