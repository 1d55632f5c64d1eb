"""What a student remembers of stored steps: windows of a replay memory, as its network needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import GruNetwork, HistoryNetwork
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.replay import Replay

Rows = Mapping[str, Tensor]


class Lessons:
    """Batches of stored steps for a student; `bptt` is the length of the windows of a recurrent one.

    The replay has the columns `observation`, `first` (1 where an episode begins), `label` and, for a recurrent student,
    `memory`, which is what it remembered before the step. Tensors of a batch are [T, B, dim]; T is 1 unless the student
    is recurrent. `weight` [T, B] is 0 for rows that are not finite or do not exist.
    """

    def __init__(self, student: PolicyGraph, replay: Replay, bptt: int) -> None:
        self._student = student
        self._network: Any = student.network
        self._replay = replay
        self._steps = bptt if isinstance(self._network, GruNetwork) else 1
        self._before = self._network.length if isinstance(self._network, HistoryNetwork) else 0

    @staticmethod
    def columns(config: PpoConfig, observation: int, label: int) -> dict[str, int]:
        """The replay's columns, for observations and labels of these widths."""
        memory = {"memory": config.memory} if config.actor == "gru" else {}
        return {"observation": observation, "first": 1, "label": label, **memory}

    def draw(self, states: int, generator: torch.Generator) -> dict[str, Tensor]:
        """A batch of about `states` steps, drawn uniformly; a window that reaches past the newest step is shorter."""
        replay = self._replay
        windows = max(1, states // self._steps)
        start, worlds = replay.draw(windows, generator, self._before)
        steps = start + torch.arange(self._steps)[:, None]
        stored = steps < replay.count
        at, of = steps.clamp(max=replay.count - 1).flatten(), worlds.repeat(self._steps)
        rows = {name: value.unflatten(0, steps.shape) for name, value in replay.read(at, of).items()}
        rows["weight"] = (replay.finite(at, of).view(steps.shape) & stored).float()
        if self._before:
            rows["past"], rows["same_episode"] = self._past(start, worlds, rows["first"][0])
        return rows

    def _past(self, start: Tensor, worlds: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """The observations [B, length, D] before the steps `start` [B], oldest first, and 1 [B, length, 1] for those of
        the same episode; `first` [B, 1] is 1 where it begins at the step."""
        back = start[:, None] - torch.arange(self._before, 0, -1)
        rows = self._replay.read(back.clamp(min=0).flatten(), worlds.repeat_interleave(self._before))
        begun = torch.cat((rows["first"].view(back.shape)[:, 1:], first), 1)
        later = begun.flip(1).cumsum(1).flip(1)
        return rows["observation"].unflatten(0, back.shape), ((later == 0.0) & (back >= 0)).float()[..., None]

    def codes(self, rows: Rows) -> Tensor:
        """A history student's code [1, B, code] of the past."""
        code: Tensor = self._network.encode(self.remembered(rows))
        return code[None]

    def remembered(self, rows: Rows) -> Tensor:
        """A history student's memory [B, length * D] at the rows, normalised, 0 before an episode's first step."""
        seen: Tensor = self._student.normalizer(rows["past"]) * rows["same_episode"]
        return seen.flatten(1)

    def actions(self, rows: Rows) -> Tensor:
        """The student's actions [T, B, A] for the rows, with gradient: a recurrent student's through a window, from the
        stored memory on, cut where an episode ends."""
        seen = self._student.normalizer(rows["observation"].flatten(0, 1)).unflatten(0, rows["observation"].shape[:2])
        network = self._network
        if isinstance(network, GruNetwork):
            latent = network.unroll(seen, rows["memory"][0], rows["first"][1:, :, 0] > 0.5)
        elif isinstance(network, HistoryNetwork):
            latent = network.latent(seen[0], {network.STATE: self.remembered(rows)})[0][None]
        else:
            latent = network.latent(seen[0])[None]
        return torch.tanh(latent) if network.squash else latent
