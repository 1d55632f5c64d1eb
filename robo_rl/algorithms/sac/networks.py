"""SAC's networks: a policy with a spread of its own for every state, and several critics at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from policies.graph.policy_graph import PolicyGraph
from policies.networks.distributions import TanhGaussian
from policies.networks.mlp import MLP
from policies.networks.normalizer import RunningNormalizer
from robo_rl.algorithms.sac.config import SacConfig
from sim.task import Task

LOWEST_LOG_STD, HIGHEST_LOG_STD = -5.0, 1.0


def make_policy(config: SacConfig, task: Task) -> PolicyGraph:
    """The policy graph to train, its normaliser included, its weights freshly drawn from torch's global generator."""
    network = MLP(task.observation_dim, config.actor_hidden, task.action.dim, config.activation, squash=True)
    return task.policy_graph(network, RunningNormalizer(task.observation_dim))


class SacActor(nn.Module):
    """The policy graph's network and, on its last hidden layer, the logarithm of the actions' spread."""

    def __init__(self, config: SacConfig, task: Task) -> None:
        super().__init__()
        self.graph = make_policy(config, task)
        assert isinstance(self.graph.network, MLP)
        layers = self.graph.network.layers
        self._hidden, self._mean = layers[:-2], layers[-2]
        self.spread = nn.Linear(config.actor_hidden[-1], task.action.dim)

    @property
    def normalizer(self) -> RunningNormalizer:
        normalizer = self.graph.normalizer
        assert isinstance(normalizer, RunningNormalizer)
        return normalizer

    def forward(self, observation: Tensor) -> TanhGaussian:
        """The distribution of actions for observations [B, D], as the policy graph makes them."""
        features = self._hidden(self.normalizer(observation))
        share = 0.5 * (torch.tanh(self.spread(features)) + 1.0)
        return TanhGaussian(self._mean(features), LOWEST_LOG_STD + (HIGHEST_LOG_STD - LOWEST_LOG_STD) * share)


class Critics(nn.Module):
    """K values [K, B] of privileged observations [B, D] and actions [B, A]: K networks, with one product for each
    layer."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], count: int, layer_norm: bool) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        widths = (inputs, *hidden, 1)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for a, b in zip(widths, widths[1:], strict=False):
            self.weights.append(torch.empty(count, a, b).uniform_(-(a**-0.5), a**-0.5))
            self.biases.append(torch.zeros(count, 1, b))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        x = torch.cat((observation, action), -1).expand(len(self.weights[0]), -1, -1)
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if k < last:
                x = torch.relu(layer_norm(x, x.shape[-1:]) if self.layer_norm else x)
        return x.squeeze(-1)
