"""The dropper: PPO on sensors and truth, of which more and more is masked until the policy needs its sensors only.

Every value of the truth is set to 0, after the normaliser, with a probability that rises from 0 to 1. The student is
the same network without the columns of the truth; at the end the two are one function.

Ref: oracle guiding in Li et al., "Suphx", arXiv 2003.13590.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from policies.graph.policy_graph import PolicyGraph
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.distill.config import DistillConfig, ppo_settings
from robo_rl.algorithms.distill.students import make_student, privileged_columns
from robo_rl.algorithms.ppo.extension import Extension
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from sim.task import Task


class DropperTrainer(PpoTrainer):
    """PPO on masked truth; its checkpoint holds the student as "graph", and what is trained as "masked"."""

    def __init__(self, config: DistillConfig, task: Task, seed: int, device: str = "cpu") -> None:
        columns = privileged_columns(config, task)
        super().__init__(
            ppo_settings(config, reads="truth"), task, seed, device,
            lambda blocks, _: Masking(config, task.observation_dim, columns, blocks, task.critic_dim),
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            self._student = make_student(config, task)

    @property
    def graph(self) -> PolicyGraph:
        """The student so far: the policy that is trained, without the columns of the truth."""
        self._student.load_state_dict(
            {
                name: value if value.shape == own.shape else value[..., : own.shape[-1]]
                for (name, own), value in zip(
                    self._student.state_dict().items(), super().graph.state_dict().values(), strict=True
                )
            }
        )
        return self._student

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return {**state, "graph": self.graph.state_dict(), "masked": state["graph"]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({**state, "graph": state["masked"]})


class Masking(Extension):
    """Masks the truth, which follows `observed` values of the sensors, but never shows more than its `columns`."""

    def __init__(
        self, config: DistillConfig, observed: int, columns: list[int], blocks: WorldBlocks, width: int
    ) -> None:
        super().__init__()
        self._config, self._observed, self._blocks = config, observed, blocks
        self._shown = torch.zeros(width, device=blocks.device).index_fill(
            0, torch.tensor(columns, device=blocks.device), 1.0
        )
        self._masked = 0.0

    def begin(self, iteration: int, worlds: ActingWorlds) -> None:
        self._masked = min(1.0, iteration / (self._config.drop_until * self._config.iterations))

    def see(self, seen: Tensor) -> Tensor:
        shown = self._shown * (self._blocks.uniform(len(seen), len(self._shown)) >= self._masked)
        return torch.cat((seen[:, : self._observed], seen[:, self._observed :] * shown), -1)
