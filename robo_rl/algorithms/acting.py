"""Worlds under a policy: their sensors, the policy's state, and the figures of their episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from policies.graph.network_policy import NetworkPolicy
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.training.parallel import Processes
from sim.task import Step


class ActingWorlds:
    """The worlds of `blocks` under the policy, or teacher, `graph`; `first` is what their reset returned.

    `sensors` and `truth` are those before the next step, `state` is the policy's.
    """

    def __init__(self, blocks: WorldBlocks, first: tuple[Sensors, Truth], graph: NetworkPolicy) -> None:
        n, device = blocks.num_worlds, blocks.device
        self.blocks = blocks
        self.sensors, self.truth = first
        self.state = graph.initial_state(n, device)
        self._graph = graph
        self._return = torch.zeros(n, device=device)
        self._length = torch.zeros(n, device=device)
        self._ended = torch.zeros(4, dtype=torch.float64, device=device)

    def settle(self, step: Step, following: State) -> None:
        """Take over the result of a `step` of the blocks: the policy's state becomes `following`, whose rows are reset
        where an episode ended. Where a world goes on from a saved state, so do the observation terms' states; what a
        network remembers means something to that network only."""
        done = step.terminated | step.truncated
        self._return += step.reward
        self._length += 1.0
        ended = done.nonzero()[:, 0]
        if len(ended):
            count = torch.tensor(len(ended), device=self._ended.device)
            crashed = step.terminated.sum()
            self._ended += torch.stack((count, self._return[ended].sum(), self._length[ended].sum(), crashed)).double()
            self._return[ended] = 0.0
            self._length[ended] = 0.0
        self.sensors, self.truth = step.sensors, step.truth
        self.state = self._graph.reset_where(following, done)
        if step.resumed is not None:
            own = {state.name for state in self._graph.network_states}
            saved = {name: value for name, value in step.resumed.policy.items() if name in self.state.keys() - own}
            copies = {n: self.state[n].index_copy(0, step.resumed.ids, value) for n, value in saved.items()}
            self.state = State({**self.state, **copies})

    def metrics(self, reward: Tensor, processes: Processes) -> dict[str, float]:
        """The mean reward per step, the episodes that ended since the last call, and what the environments report, over
        all processes; `reward` is the mean of this process's worlds."""
        worlds = self.blocks.metrics()
        blocks = len(self.blocks.environments)
        own = torch.tensor([float(blocks), *worlds.values()], dtype=torch.float64, device=self._ended.device)
        total = processes.sum(torch.cat((self._ended, reward.double()[None] * blocks, own))).tolist()
        self._ended = torch.zeros_like(self._ended)
        episodes, returned, length, crashed, rewards, all_blocks = total[:6]
        metrics = {"reward": rewards / all_blocks, "episodes": episodes}
        if episodes:
            metrics |= {
                "episode_return": returned / episodes,
                "episode_length": length / episodes,
                "terminated": crashed / episodes,
            }
        return metrics | {name: value / all_blocks for name, value in zip(worlds, total[6:], strict=True)}

    def snapshot(self, extra: Mapping[str, Mapping[str, Tensor]] | None = None) -> list[dict[str, Any]]:
        """Everything that decides the worlds' future, block by block; `extra` names further tensors [N, ...]."""
        return self.blocks.snapshot(
            {
                "sensors": self.sensors,
                "truth": self.truth,
                "policy_state": self.state,
                **(extra or {}),
                "episode": {"return": self._return, "length": self._length},
            }
        )

    def restore(self, blocks: Sequence[Mapping[str, Any]], extra: Sequence[str] = ()) -> dict[str, dict[str, Tensor]]:
        """Continue from the snapshots of this process's blocks; returns the `extra` tensors."""
        held = self.blocks.restore(blocks, ("sensors", "truth", "policy_state", "episode", *extra))
        self.sensors, self.truth = Sensors(held["sensors"]), Truth(held["truth"])
        self.state = State(held["policy_state"])
        self._return, self._length = held["episode"]["return"], held["episode"]["length"]
        return {name: held[name] for name in extra}
