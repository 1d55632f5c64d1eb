"""HIB, the historical information bottleneck (arXiv 2305.18464): PPO whose policy reads a code of the past.

To PPO's losses come `contrast_coefficient` times (InfoNCE + `compression` times a KL divergence): the first ties the
code to an embedding of the privileged state, the second bounds what it keeps of the past. The policy acts on the code's
mean, in training as when it is deployed; the losses draw a code around it. With `cut_gradient` PPO's own losses do not
train the encoder. The embedding and the spread of the code are networks of the training, not of the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import HistoryNetwork
from policies.networks.mlp import MLP
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.distill.config import DistillConfig, ppo_settings
from robo_rl.algorithms.distill.contrast import info_nce, kl_to_standard_normal
from robo_rl.algorithms.distill.students import make_student, privileged_columns
from robo_rl.algorithms.ppo.actor import Actor
from robo_rl.algorithms.ppo.extension import Extension
from robo_rl.algorithms.ppo.minibatch import Minibatch
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from sim.task import Task


def make_trainer(config: DistillConfig, task: Task, seed: int, device: str) -> PpoTrainer:
    """PPO with the bottleneck. Raises UserError for a privileged term that the task does not have."""
    columns = privileged_columns(config, task)

    def student(_: Any, task: Task) -> PolicyGraph:
        graph = make_student(config, task)
        assert isinstance(graph.network, HistoryNetwork)
        graph.network.cut = config.cut_gradient
        return graph

    return PpoTrainer(
        ppo_settings(config), task, seed, device, lambda blocks, _: Bottleneck(config, columns, blocks), student
    )


class Bottleneck(Extension):
    """The losses on the code; `columns` of the critic's observation are the privileged state."""

    def __init__(self, config: DistillConfig, columns: list[int], blocks: WorldBlocks) -> None:
        super().__init__()
        code = config.history_code
        self.embedding = MLP(len(columns), config.encoder_hidden, code, config.activation, output_gain=1.0)
        self.log_std = nn.Linear(code, code)
        nn.init.zeros_(self.log_std.weight)
        nn.init.constant_(self.log_std.bias, -1.0)
        self._config, self._columns, self._blocks = config, columns, blocks
        self._episode = torch.zeros(0)

    def columns(self) -> dict[str, int]:
        return {"episode": 1, "code_noise": self._config.history_code}

    def begin(self, iteration: int, worlds: ActingWorlds) -> None:
        # Numbers of episodes need to differ within one rollout only.
        self._episode = torch.arange(self._blocks.num_worlds, device=self._blocks.device)

    def record(self) -> Mapping[str, Tensor]:
        noise = self._blocks.normal(self._blocks.num_worlds, self._config.history_code)
        return {"episode": self._episode[:, None].float(), "code_noise": noise}

    def settle(self, action: Tensor, done: Tensor) -> None:
        self._episode = self._episode + self._blocks.num_worlds * done

    def loss(self, batch: Minibatch, means: Tensor, actor: Actor) -> tuple[Tensor, dict[str, Tensor]]:
        c = self._config
        parts = self._rows(batch)
        rows = torch.cat(parts)
        mean = actor.network.encode(batch.past[rows])
        log_std = self.log_std(mean).clamp(-5.0, 2.0)
        code = mean + log_std.exp() * batch.extra["code_noise"][rows]
        truth = self.embedding(batch.critic_observation[rows][:, self._columns])
        episode = batch.extra["episode"][rows, 0]
        counts = [len(part) for part in parts]
        split = zip(code.split(counts), truth.split(counts), episode.split(counts), strict=True)
        found = [torch.stack(info_nce(z, e, of, c.temperature)) * len(z) for z, e, of in split]
        contrast, information = (torch.stack(found).sum(0) / len(rows)).unbind()
        compression = kl_to_standard_normal(mean, log_std)
        metrics = {"info_nce": contrast, "information": information, "code_kl": compression}
        total: Tensor = c.contrast_coefficient * (contrast + c.compression * compression)
        return total, {name: value.detach() for name, value in metrics.items()}

    def _rows(self, batch: Minibatch) -> list[Tensor]:
        """The rows that are compared with each other, block by block: who holds which blocks changes nothing."""
        blocks, count = self._blocks, max(2, self._config.contrast_batch // self._config.blocks)
        of_row = batch.extra["episode"][:, 0].long() % blocks.num_worlds // blocks.size
        parts = [(of_row == block).nonzero()[:count, 0] for block in range(len(blocks.environments))]
        return [part for part in parts if len(part)]
