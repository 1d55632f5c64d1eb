"""What trainings that learn from a replay memory share: their worlds, the memory, and their part of a checkpoint."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from policies.graph.policy_graph import PolicyGraph
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.registry import Algorithm
from robo_rl.algorithms.replay import Replay
from robo_rl.training import parallel
from sim.task import Task


class ReplayTrainer(Algorithm):
    """A training whose worlds, a block of them for the task and for each of the `others`, fill a replay memory that it
    learns from.

    `config` has num_worlds, randomized, iterations and capacity; `widths` are those of the replay's columns.
    """

    def __init__(
        self, config: Any, task: Task, seed: int, device: str, widths: Mapping[str, int], others: Sequence[Task] = ()
    ) -> None:
        self.device = torch.device(device)
        self.total_iterations = config.iterations
        self._processes = parallel.current()
        self._blocks = WorldBlocks(
            task, config.num_worlds, 1 + len(others), seed, device, config.randomized, self._processes, others
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.graph = self.build(task)
        self._random = torch.Generator().manual_seed(seed)
        self._worlds = ActingWorlds(self._blocks, self._blocks.reset(), self.graph)
        self.replay = Replay(config.num_worlds, config.capacity, widths)

    @abstractmethod
    def build(self, task: Task) -> PolicyGraph:
        """Make all networks, their weights drawn from torch's global generator; returns the policy that is trained."""

    def enter(self, run_dir: Path) -> None:
        self._blocks.keep_failures(run_dir)
        self.replay.open(run_dir)

    def state_dict(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.graph.state_dict(),
            "replay": self.replay.state(),
            "random": self._random.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.iteration, self.steps = state["iteration"], state["steps"]
        self.graph.load_state_dict(state["graph"])
        self.replay.restore(state["replay"])
        self._random.set_state(state["random"])

    def saved(self) -> None:
        self.replay.saved()
