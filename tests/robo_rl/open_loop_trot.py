"""A policy without training: an open-loop trot of the Go1, exported like any other.

Steered by the velocity command and the gait's clock, blind to everything else: it walks, with a drift to the rear.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from deploy.export.exporter import export_bundle
from policies.graph.policy_graph import PolicyGraph
from robo_rl.workflows.export import visit
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.tasks import find_task

TASK = "go1-velocity-flat"
FREQUENCY = 2.5
REACH = 0.27
"""Height of the hip above the foot in m."""
LIFT = 0.5
"""How far the calf folds in mid-swing, rad; the thigh follows half of it."""


class Trot(nn.Module):
    """[N, D] -> [N, 12]: command at columns 30 to 32, sine and cosine of the clock in the last two."""

    turns: Tensor
    forward_of: Tensor
    side_of: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        # FR, FL, RR, RL: the diagonal legs together.
        self.register_buffer("turns", torch.tensor([1.0, -1.0, -1.0, 1.0]))
        self.register_buffer("forward_of", torch.tensor([0.19, 0.19, -0.19, -0.19]))
        self.register_buffer("side_of", torch.tensor([-0.13, 0.13, -0.13, 0.13]))
        self.register_buffer("scale", torch.tensor(GO1.part(Legs).action_scale))

    def forward(self, observation: Tensor) -> Tensor:
        command, sine, cosine = observation[:, 30:33], observation[:, -2:-1], observation[:, -1:]
        up = (sine * self.turns).clamp(min=0.0)
        back = cosine * self.turns
        # A foot goes back and forth by what the body moves in half a stride.
        half = 0.25 / FREQUENCY / REACH
        ahead = (command[:, 0:1] - command[:, 2:3] * self.side_of) * half
        aside = (command[:, 1:2] + command[:, 2:3] * self.forward_of) * half
        hip = -aside * back
        thigh = ahead * back + 0.5 * LIFT * up
        calf = -LIFT * up
        return torch.stack((hip, thigh, calf), -1).flatten(1) / self.scale


def trot() -> PolicyGraph:
    return find_task(TASK).policy_graph(Trot())


def export_trot(out: Path) -> None:
    """Write the trot as a bundle to the folder `out`."""
    task, graph = find_task(TASK), trot()
    export_bundle(
        graph,
        visit(graph, task),
        out,
        name="trot",
        task=TASK,
        kind=task.kind,
        safety=task.safety,
        provenance={},
        evaluation={},
    )
