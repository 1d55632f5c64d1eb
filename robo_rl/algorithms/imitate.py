"""Imitation of the task's teacher or guide: DAgger (Ross et al., arXiv 1011.0686), behaviour cloning with a share of 1.

The student acts, except in a share of the worlds, which falls to none, where the teacher does; the teacher labels every
visited state, also where the student acted; the student regresses the labels of all states so far. A teacher reads the
truth (sim.controllers.teacher), a guide what the policy observes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.networks.mlp import MLP, Activation
from policies.networks.normalizer import RunningNormalizer
from policies.signals import State
from policies.validation import require, require_choice, require_widths
from robo_rl.algorithms.descent import Descent
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.algorithms.replay_trainer import ReplayTrainer
from sim.controllers.teacher import Teacher
from sim.task import Task


@dataclass(frozen=True)
class ImitateConfig:
    """Settings of imitation. One iteration takes num_worlds * steps environment steps and `updates` gradient steps."""

    num_worlds: int = 256
    """Simulated robots that act at once."""
    randomized: bool = True
    """Whether to draw the robot's dynamics anew for every episode, if the task randomizes them."""
    iterations: int = 60
    """Rounds of acting and regressing until training ends."""
    steps: int = 20
    """Steps of every world in an iteration."""
    updates: int = 80
    """Gradient steps in an iteration."""
    batch: int = 1024
    """Labelled states that each gradient step learns from."""
    capacity: int = 400_000
    """Labelled states that are kept, in a file of the run; the oldest are overwritten first."""
    learning_rate: float = 3e-3
    """Adam's step size at the start; it falls linearly to 0."""
    max_gradient_norm: float = 10.0
    """Largest norm of the gradient of all weights together."""
    teacher_share: float = 1.0
    """Share of the worlds in which the teacher acts, at the start; it falls linearly."""
    final_teacher_share: float = 0.0
    """The same at the end; behaviour cloning keeps it at 1."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers."""
    activation: Activation = "tanh"
    """Activation of the policy."""

    def __post_init__(self) -> None:
        for field in ("num_worlds", "iterations", "steps", "updates", "batch"):
            require(self, field, low=1)
        require(self, "capacity", low=2 * self.num_worlds)
        for field in ("learning_rate", "max_gradient_norm"):
            require(self, field, above=0.0)
        for field in ("teacher_share", "final_teacher_share"):
            require(self, field, low=0.0, high=1.0)
        require_choice(self, "activation", ("tanh", "relu", "elu"))
        require_widths(self, "hidden")


def make_policy(config: ImitateConfig, task: Task) -> PolicyGraph:
    """The policy graph to train, its normaliser included, its weights freshly drawn from torch's global generator."""
    network = MLP(task.observation_dim, config.hidden, task.action.dim, config.activation, squash=True)
    return task.policy_graph(network, RunningNormalizer(task.observation_dim))


class ImitateTrainer(ReplayTrainer):
    """Imitation on one task. Bit-reproducible from (config, task, seed) on one CPU, also after a resume.

    Raises UserError for a task with neither teacher nor guide.
    """

    def __init__(self, config: ImitateConfig, task: Task, seed: int, device: str = "cpu") -> None:
        self.config = config
        self._teacher: Teacher | None = None if task.teacher is None else task.teacher(device)
        self._guide = task.guide
        if self._teacher is None and self._guide is None:
            raise UserError(f"{task.name} has neither a teacher nor a guide to imitate; use --algorithm ppo")
        widths = {"observation": task.observation_dim, "label": task.action.dim}
        super().__init__(config, task, seed, device, widths)
        self._descent: Descent[dict[str, Tensor]] = Descent(
            self.graph.parameters(), config.learning_rate, self._processes
        )
        n = config.num_worlds
        self._teacher_state = State({}) if self._teacher is None else self._teacher.initial_state(n, device)

    def build(self, task: Task) -> PolicyGraph:
        return make_policy(self.config, task).to(self.device)

    def iterate(self) -> dict[str, float]:
        """One iteration; returns its metrics. Raises TrainingDiverged when no gradient step was finite."""
        c = self.config
        left = 1.0 - self.iteration / c.iterations

        # Student and teacher act, each in its share of the worlds; the teacher labels every state.
        share = c.final_teacher_share + left * (c.teacher_share - c.final_teacher_share)
        reward = self._act_and_label(share)
        metrics = self._worlds.metrics(reward, self._processes)

        def loss(rows: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
            error = (self.graph.act(rows["observation"]) - rows["label"]).square().mean(-1)
            mean = (error * rows["finite"]).mean()
            return mean, {"imitation_loss": mean.detach()}

        # The student regresses the labels of all states so far.
        self._descent.learning_rate = c.learning_rate * left
        total, done = 0.0, 0
        for _ in range(c.updates):
            rows = self._rows()
            gradient, found, fault = self._descent.gradient(loss, [rows], [c.batch])
            if not fault:
                self._descent.step(gradient, found["gradient_norm"], c.max_gradient_norm)
                total, done = total + found["imitation_loss"], done + 1
        if done == 0:
            raise TrainingDiverged(f"no gradient of iteration {self.iteration} was finite; lower learning_rate")
        self.iteration += 1
        metrics |= {"imitation_loss": total / done, "teacher_share": share}
        return {**metrics, "skipped_updates": float(c.updates - done)}

    # ---- what the iteration is made of ------------------------------------------------------------------------------

    @torch.no_grad()
    def _act_and_label(self, share: float) -> Tensor:
        """Act for `steps` steps, the teacher in a `share` of the worlds; the mean reward of a step."""
        c, graph, worlds = self.config, self.graph, self._worlds
        taught = torch.arange(c.num_worlds, device=self.device)[:, None] < share * c.num_worlds
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        normalizer = graph.normalizer
        assert isinstance(normalizer, RunningNormalizer)
        for _ in range(c.steps):
            observation = graph.observe(worlds.sensors, worlds.state)
            label, labelled = self._label(observation)
            self.replay.add(observation=observation, label=label)
            normalizer.update(observation)
            action = torch.where(taught, label, graph.act(observation))
            commands, following = graph.apply_action(action, worlds.sensors, worlds.state)
            if self._teacher is not None:
                labelled = self._teacher.after(worlds.sensors, self._teacher_state, labelled, action)
            step = self._blocks.step(commands)
            worlds.settle(step, following)
            if self._teacher is not None:
                self._teacher_state = self._teacher.reset_where(labelled, step.terminated | step.truncated)
            total += step.reward.double().mean()
            self.steps += c.num_worlds
        return total / c.steps

    def _label(self, observation: Tensor) -> tuple[Tensor, State]:
        """What the teacher, or else the guide, would do [N, A], within the bounds of an action; the teacher's next
        state."""
        if self._teacher is None:
            assert self._guide is not None
            return self._guide(observation).clamp(-1.0, 1.0), State({})
        label, following = self._teacher.label(self._worlds.sensors, self._worlds.truth, self._teacher_state)
        return label.clamp(-1.0, 1.0), following

    def _rows(self) -> dict[str, Tensor]:
        steps, worlds = self.replay.draw(self.config.batch, self._random)
        rows = {**self.replay.read(steps, worlds), "finite": self.replay.finite(steps, worlds).float()}
        return {name: value.to(self.device) for name, value in rows.items()}

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "optimizer": self._descent.optimizer.state_dict(),
            "blocks": self._worlds.snapshot({"teacher": self._teacher_state}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._descent.optimizer.load_state_dict(state["optimizer"])
        self._teacher_state = State(self._worlds.restore(state["blocks"], ("teacher",))["teacher"])
