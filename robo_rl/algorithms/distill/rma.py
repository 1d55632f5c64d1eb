"""RMA, rapid motor adaptation (arXiv 2107.04034): PPO on a code of the truth, which is then regressed from the past.

1. PPO trains a policy of the observation and a code of the privileged state, encoder included.
2. The student, the same policy with a code of its own past in the place of that code, acts; its encoder regresses the
   code of the truth at every state, all else stays as it is.

The student is one graph of sensors. Its encoder is that of `HistoryNetwork`, which shares one layer over time, where
the paper has convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import HistoryNetwork
from policies.networks.mlp import MLP
from policies.networks.normalizer import RunningNormalizer
from policies.signals import State
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.distill.config import DistillConfig, ppo_settings
from robo_rl.algorithms.distill.lessons import Rows
from robo_rl.algorithms.distill.regression import Regression
from robo_rl.algorithms.distill.students import make_student, privileged_columns
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.algorithms.registry import Algorithm
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task


class EncodedTruth(nn.Module):
    """An MLP on `observed` values of the sensors and a code of the truth that follows them: [N, D] -> [N, outputs]."""

    def __init__(self, observed: int, columns: list[int], encoder: MLP, head: MLP) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head
        self.squash = head.squash
        self._observed, self._columns = observed, [observed + column for column in columns]

    def encode(self, seen: Tensor) -> Tensor:
        """The code [N, code] of normalised observations [N, D]."""
        code: Tensor = self.encoder(seen[..., self._columns])
        return code

    def latent(self, seen: Tensor) -> Tensor:
        return self.head.latent(torch.cat((seen[..., : self._observed], self.encode(seen)), -1))

    def forward(self, seen: Tensor) -> Tensor:
        action = self.latent(seen)
        return torch.tanh(action) if self.squash else action


def make_teacher(config: DistillConfig, task: Task) -> LearnedTeacher:
    """What the first phase trains: a policy of the observation and a code of the truth."""
    code, columns = config.history_code, privileged_columns(config, task)
    encoder = MLP(len(columns), config.encoder_hidden, code, config.activation, output_gain=1.0)
    squash = config.distribution == "squashed"
    head = MLP(task.observation_dim + code, config.actor_hidden, task.action.dim, config.activation, squash)
    network = EncodedTruth(task.observation_dim, columns, encoder, head)
    return task.learned_teacher(network, RunningNormalizer(task.observation_dim + task.critic_dim))


def take_over(student: PolicyGraph, teacher: LearnedTeacher) -> None:
    """Give the student the teacher's normaliser and all of its policy but the encoder."""
    assert isinstance(student.network, HistoryNetwork) and isinstance(teacher.network, EncodedTruth)
    student.network.head.load_state_dict(teacher.network.head.state_dict())
    width = student.observation_dim
    known = {name: value[:width] if value.dim() else value for name, value in teacher.normalizer.state_dict().items()}
    student.normalizer.load_state_dict(known)


class Codes:
    """The teacher's code of the truth as the label of each world (see `Labeller`)."""

    def __init__(self, teacher: LearnedTeacher) -> None:
        self.teacher = teacher
        self.state = State({})

    def of(self, worlds: ActingWorlds) -> Tensor:
        teacher = self.teacher
        truth = torch.cat([term(worlds.truth) for term in teacher.terms], -1)
        # The encoder reads the truth alone.
        unread = truth.new_zeros(len(truth), teacher.observation_dim - truth.shape[-1])
        assert isinstance(teacher.network, EncodedTruth)
        return teacher.network.encode(teacher.normalizer(torch.cat((unread, truth), -1)))

    def settle(self, action: Tensor, done: Tensor) -> None:
        return


class Adaptation(Regression):
    """The second phase: the student's encoder regresses the teacher's code on the student's own way."""

    learns_normalizer = False

    def __init__(self, config: DistillConfig, task: Task, seed: int, device: str, teacher: LearnedTeacher) -> None:
        self.teacher = teacher.requires_grad_(False)
        super().__init__(config, task, seed, device, config.history_code)
        self.total_iterations = config.adaptation

    def build(self, task: Task) -> PolicyGraph:
        student = make_student(self.config, task)
        take_over(student, self.teacher)
        return student.to(self.device)

    def make_labels(self, task: Task) -> Codes:
        return Codes(self.teacher)

    def trained(self) -> Iterable[nn.Parameter]:
        network = self.graph.network
        assert isinstance(network, HistoryNetwork)
        return [*network.each.parameters(), *network.encoder.parameters()]

    def predicted(self, rows: Rows) -> Tensor:
        return self._lessons.codes(rows)

    def executed(self, label: Tensor, action: Tensor) -> Tensor:
        return action


class RmaTrainer(Algorithm):
    """Both phases, one after the other. The checkpoint's "graph" is the student, which is of use after the second."""

    later_metrics = (*Algorithm.later_metrics, "imitation_loss")

    def __init__(self, config: DistillConfig, task: Task, seed: int, device: str = "cpu") -> None:
        self.config = config
        self._task, self._seed, self._device = task, seed, device
        self.total_iterations = config.iterations + config.adaptation
        self._run_dir: Path | None = None
        self._phase: PpoTrainer | Adaptation = PpoTrainer(
            ppo_settings(config, reads="truth", actor="mlp"), task, seed, device,
            policy=lambda _, task: make_teacher(config, task),
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._student = make_student(config, task).to(device)

    @property
    def graph(self) -> PolicyGraph:
        """The student so far."""
        if isinstance(self._phase, Adaptation):
            return self._phase.graph
        take_over(self._student, self._teacher())
        return self._student

    def enter(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._phase.enter(run_dir)

    def iterate(self) -> dict[str, float]:
        """One iteration of PPO or one round of regression; returns its metrics."""
        if self.iteration == self.config.iterations:
            self._adapt(self._teacher())
        before = self._phase.steps
        metrics = self._phase.iterate()
        self.iteration += 1
        self.steps += self._phase.steps - before
        return metrics

    def _teacher(self) -> LearnedTeacher:
        """What the first phase has learned."""
        teacher = self._phase.graph if isinstance(self._phase, PpoTrainer) else self._phase.teacher
        assert isinstance(teacher, LearnedTeacher)
        return teacher

    def _adapt(self, teacher: LearnedTeacher) -> None:
        """Begin the second phase."""
        self._phase = Adaptation(self.config, self._task, self._seed, self._device, teacher)
        if self._run_dir is not None:
            self._phase.enter(self._run_dir)

    def state_dict(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.graph.state_dict(),
            "teacher": self._teacher().state_dict(),
            "adapting": isinstance(self._phase, Adaptation),
            "phase": self._phase.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.iteration, self.steps = state["iteration"], state["steps"]
        if state["adapting"]:
            with torch.random.fork_rng(devices=[]):
                teacher = make_teacher(self.config, self._task).to(self._device)
            teacher.load_state_dict(state["teacher"])
            self._adapt(teacher)
        self._phase.load_state_dict(state["phase"])

    def saved(self) -> None:
        self._phase.saved()
