"""A teacher of the point, a network that learns to be one, and the algorithm that trains it, for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from policies.networks.mlp import MLP
from policies.networks.normalizer import RunningNormalizer
from policies.signals import Sensors, State, Truth
from policies.terms.actions import ScaledCommand
from robo_rl.algorithms.registry import Algorithm, AlgorithmEntry
from sim.controllers.teacher import Known, LearnedTeacher, Teacher
from sim.task import Task


class PushHome(Teacher):
    """The known optimum of the point, from its true position."""

    action = ScaledCommand("push", 1, 1.0)

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, State]:
        return (-5.0 * truth["position"]).clamp(-1.0, 1.0), state


@dataclass(frozen=True)
class PrivilegedConfig:
    """Settings of an algorithm that learns a teacher."""

    iterations: int = 150
    """Gradient steps."""


def make_policy(config: PrivilegedConfig, task: Task) -> LearnedTeacher:
    """A network over the true position."""
    return LearnedTeacher([Known("position", 1)], MLP(1, (16,), 1, "tanh"), task.action, RunningNormalizer(1))


class PrivilegedTrainer(Algorithm):
    """Clones the task's teacher into a network over the truth, from positions drawn at random."""

    def __init__(self, config: PrivilegedConfig, task: Task, seed: int, device: str = "cpu") -> None:
        self.total_iterations = config.iterations
        torch.manual_seed(seed)
        self.policy = make_policy(config, task)
        assert task.teacher is not None
        self._teacher = task.teacher(device)
        self._optimizer = torch.optim.Adam(self.policy.parameters(), 0.02)

    def iterate(self) -> dict[str, float]:
        truth = Truth({"position": torch.rand(256, 1) * 2.0 - 1.0})
        label, _ = self._teacher.label(Sensors({}), truth, State({}))
        loss = (self.policy.act(self.policy.observe(Sensors({}), truth, State({}))) - label).square().mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.iteration += 1
        return {"imitation_loss": float(loss.detach())}

    def state_dict(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.policy.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.iteration, self.steps = state["iteration"], state["steps"]
        self.policy.load_state_dict(state["graph"])
        self._optimizer.load_state_dict(state["optimizer"])


PRIVILEGED = AlgorithmEntry(__name__, "PrivilegedConfig", "PrivilegedTrainer")
