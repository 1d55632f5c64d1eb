"""The policy in training: its graph, the spread of its actions, and the mirror images of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.graph.symmetry import SignedPermutation, observation_mirror, truth_mirror
from policies.networks.distributions import ActionDistribution, ClippedGaussian, TanhGaussian
from policies.networks.memory import GruNetwork, HistoryNetwork
from policies.networks.mlp import MLP
from policies.networks.normalizer import RunningNormalizer
from policies.signals import Truth
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.ppo.config import PpoConfig
from sim.controllers.teacher import LearnedTeacher
from sim.task import Environment, Task


def make_network(config: PpoConfig, inputs: int, outputs: int) -> nn.Module:
    """The policy's network, freshly drawn from torch's global generator."""
    squash = config.distribution == "squashed"
    if config.actor == "gru":
        return GruNetwork(inputs, config.memory, config.actor_hidden, outputs, config.activation, squash)
    if config.actor == "history":
        length, code = config.history, config.history_code
        return HistoryNetwork(inputs, length, code, config.actor_hidden, outputs, config.activation, squash)
    return MLP(inputs, config.actor_hidden, outputs, config.activation, squash)


def make_policy(config: PpoConfig, task: Task) -> PolicyGraph | LearnedTeacher:
    """The policy or teacher to train, its normaliser included, with weights as `make_network` draws them."""
    inputs = task.observation_dim + (task.critic_dim if config.reads == "truth" else 0)
    network, normalizer = make_network(config, inputs, task.action.dim), RunningNormalizer(inputs)
    if config.reads == "truth":
        return task.learned_teacher(network, normalizer)
    return task.policy_graph(network, normalizer)


class Actor:
    """A policy or teacher whose actions are drawn around its network's output, in the network's latent space."""

    def __init__(self, config: PpoConfig, task: Task, policy: PolicyGraph | LearnedTeacher, device: str) -> None:
        self.graph = policy.to(device)
        self.network: Any = self.graph.network
        self.recurrent: bool = getattr(self.network, "recurrent", False)
        self._kind = TanhGaussian if config.distribution == "squashed" else ClippedGaussian
        self.log_std = nn.Parameter(torch.full((task.action.dim,), math.log(config.initial_std), device=device))

    @property
    def normalizer(self) -> RunningNormalizer:
        normalizer = self.graph.normalizer
        assert isinstance(normalizer, RunningNormalizer)
        return normalizer

    def observe(self, worlds: ActingWorlds) -> Tensor:
        """What it observes of `worlds` [N, observation_dim], before the normaliser."""
        if isinstance(self.graph, LearnedTeacher):
            return self.graph.observe(worlds.sensors, worlds.truth, worlds.state)
        return self.graph.observe(worlds.sensors, worlds.state)

    def latent(self, seen: Tensor, memory: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The Gaussians' means [N, A] for normalised observations, and the network's next memory."""
        if not memory:
            mean: Tensor = self.network.latent(seen)
            return mean, {}
        mean, following = self.network.latent(seen, memory)
        return mean, following

    def means(self, seen: Tensor, past: Tensor, memory: Tensor | None, done: Tensor | None) -> Tensor:
        """The Gaussians' means for a minibatch's rows (see Minibatch): [B, A], or [T, B, A] of a recurrent network."""
        if self.recurrent:
            unrolled: Tensor = self.network.unroll(seen, memory, done)
            return unrolled
        return self.latent(seen, {self.network.STATE: past} if past.shape[-1] else {})[0]

    def bound_std(self) -> None:
        """Keep the spread of the actions within useful bounds: below e^-5 the policy is deterministic, above 2 every
        action is cut off."""
        with torch.no_grad():
            self.log_std.clamp_(-5.0, math.log(2.0))

    def distribution(self, mean: Tensor) -> ActionDistribution:
        return self._kind(mean, self.log_std.expand_as(mean))

    def executed(self, latent: Tensor) -> Tensor:
        """The action in [-1, 1] of a latent value."""
        return torch.tanh(latent) if self._kind is TanhGaussian else latent.clamp(-1.0, 1.0)

    def initial_memory(self, batch: int, device: torch.device) -> dict[str, Tensor]:
        return self.graph.memory(self.graph.initial_state(batch, device))


@dataclass(frozen=True)
class Mirrors:
    """How the policy's and the critic's observation, and the action, look in the mirror."""

    observation: SignedPermutation
    critic: SignedPermutation
    action: SignedPermutation

    def past(self, width: int) -> SignedPermutation:
        """The mirror of `width` columns of past observations."""
        return SignedPermutation.joined([self.observation] * (width // self.observation.dim))


def find_mirrors(config: PpoConfig, task: Task, environment: Environment, truth: Truth) -> Mirrors:
    """The mirrors of a task, derived from its own; `truth` is any one of its environment.

    Raises UserError when the task has none, or its observations are not the same in the mirror.
    """
    if task.mirror is None:
        raise UserError(f"{task.name} has no mirror symmetry; train it with symmetry none")
    observation = observation_mirror(task.sensors, task.observation_terms, task.action, task.mirror)
    with torch.no_grad():
        critic = truth_mirror(environment.critic_observation, truth, task.mirror)
    if config.reads == "truth":
        observation = SignedPermutation.joined((observation, critic))
    return Mirrors(observation, critic, task.mirror.action)
