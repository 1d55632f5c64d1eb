"""A policy without training for any legged task: it commands the stance, and leaves balance to chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deploy.bundle.golden import Episode
from deploy.export.exporter import export_bundle
from sim.tasks import find_task


class Stance(nn.Module):
    """[N, D] -> [N, A]: next to nothing of the observation, so that the bundle reads every sensor."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        nn.init.constant_(self.layer.weight, 1e-7)
        nn.init.zeros_(self.layer.bias)

    def forward(self, observation: Tensor) -> Tensor:
        return torch.tanh(self.layer(observation))


def export_stance(out: Path, task_name: str) -> None:
    """Write the policy as a bundle of the task to the folder `out`."""
    task = find_task(task_name)
    graph = task.policy_graph(Stance(task.observation_dim, task.action.dim))
    random = np.random.default_rng(0)
    reset = np.zeros((60, 20), bool)
    reset[0] = reset[30] = True
    visited = {spec.name: random.uniform(-0.2, 0.2, (*reset.shape, spec.dim)) for spec in graph.used_sensors}
    export_bundle(
        graph, Episode(visited, reset), out, name="stance", task=task.name, kind=task.kind, safety=task.safety,
        provenance={"algorithm": "the stance, not learned"}, evaluation={}, joints=task.joints,
    )  # fmt: skip
