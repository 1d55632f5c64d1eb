"""An algorithm of one's own: evolution strategies on a linear policy (arXiv 1703.03864), with mirrored samples.

Every world flies another perturbation of the weights for the length of a rollout; the weights move along the
perturbations in proportion to the ranks of their returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from policies.graph.policy_graph import PolicyGraph
from policies.networks.mlp import MLP
from policies.validation import check, require
from robo_rl.algorithms.registry import Algorithm, AlgorithmEntry
from sim.task import Task


@dataclass(frozen=True)
class EvolutionConfig:
    """Settings of evolution strategies."""

    num_worlds: int = 512
    """Worlds, and perturbations, of each iteration; an even number."""
    iterations: int = 100
    """Changes of the weights until training ends."""
    rollout_steps: int = 100
    """Steps over which a perturbation's reward is summed."""
    spread: float = 0.1
    """Standard deviation of the perturbations."""
    learning_rate: float = 1.0
    """How far the weights move along the estimated gradient."""

    def __post_init__(self) -> None:
        for name in ("num_worlds", "iterations", "rollout_steps"):
            require(self, name, low=1)
        for name in ("spread", "learning_rate"):
            require(self, name, above=0.0)
        check(self.num_worlds % 2 == 0, f"num_worlds must be even, got {self.num_worlds}")


def make_policy(config: EvolutionConfig, task: Task) -> PolicyGraph:
    """The policy graph to train, with fresh weights."""
    return task.policy_graph(MLP(task.observation_dim, (), task.action.dim, squash=True))


class EvolutionTrainer(Algorithm):
    """Evolution strategies on one task."""

    def __init__(self, config: EvolutionConfig, task: Task, seed: int, device: str) -> None:
        self.config = config
        self.total_iterations = config.iterations
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.graph = make_policy(config, task).to(device)
        self._generator = torch.Generator(device=device).manual_seed(seed)
        self._environment = task.make_environment(config.num_worlds, seed, device, randomized=True)
        self._weights = nn.utils.parameters_to_vector(self.graph.parameters()).detach()

    def iterate(self) -> dict[str, float]:
        half = torch.randn(
            self.config.num_worlds // 2, len(self._weights), generator=self._generator, device=self._weights.device
        )
        noise = torch.cat((half, -half)) * self.config.spread
        returns = self._fly(self._weights + noise)
        ranks = returns.argsort().argsort() / (len(returns) - 1) - 0.5
        self._weights += self.config.learning_rate / self.config.spread * (ranks @ noise) / len(returns)
        nn.utils.vector_to_parameters(self._weights, self.graph.parameters())
        self.iteration += 1
        self.steps += self.config.num_worlds * self.config.rollout_steps
        return {"return": float(returns.mean()), "best_return": float(returns.max())}

    @torch.no_grad()
    def _fly(self, weights: Tensor) -> Tensor:
        """The summed reward [N] of a rollout in which world n acts with `weights` [N, W]."""
        graph, outputs = self.graph, self.graph.action.dim
        matrix, bias = weights[:, :-outputs].unflatten(1, (outputs, -1)), weights[:, -outputs:]
        sensors, _ = self._environment.reset()
        state = graph.initial_state(len(weights), weights.device)
        total = torch.zeros(len(weights), device=weights.device)
        for _ in range(self.config.rollout_steps):
            observation = graph.observe(sensors, state)
            action = torch.tanh(torch.einsum("nai,ni->na", matrix, observation) + bias)
            commands, state = graph.apply_action(action, sensors, state)
            step = self._environment.step(commands)
            total += step.reward
            sensors, state = step.sensors, graph.reset_where(state, step.terminated | step.truncated)
        return total

    def state_dict(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.graph.state_dict(),
            "environment": dict(self._environment.snapshot()),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.iteration, self.steps = state["iteration"], state["steps"]
        self.graph.load_state_dict(state["graph"])
        self._weights = nn.utils.parameters_to_vector(self.graph.parameters()).detach()
        self._environment.restore(state["environment"])
        self._generator.set_state(state["generator"].cpu())


ENTRY = AlgorithmEntry(__name__, "EvolutionConfig", "EvolutionTrainer")
"""The line of the table in robo_rl/algorithms/registry.py: `"evolution": AlgorithmEntry(MODULE, ...)`."""
