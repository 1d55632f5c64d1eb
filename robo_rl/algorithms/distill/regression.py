"""Supervised rounds: worlds act, every visited state is labelled and kept, and a student regresses the labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.networks.normalizer import RunningNormalizer
from policies.signals import State
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.descent import Descent
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.distill.lessons import Lessons, Rows
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.algorithms.replay_trainer import ReplayTrainer
from robo_rl.training import parallel
from sim.task import Task


class Labeller(Protocol):
    """Gives each acting world its label, step by step; `state` is what it carries."""

    state: State

    def of(self, worlds: ActingWorlds) -> Tensor:
        """The labels [N, L]; `settle` must follow."""
        ...

    def settle(self, action: Tensor, done: Tensor) -> None:
        """`action` [N, A] was executed, and the episodes of the worlds `done` [N] ended."""
        ...


class Regression(ReplayTrainer):
    """Rounds of acting, labelling and regressing; `labels` have a `width`. Raises UserError in a group of processes."""

    def __init__(
        self, config: DistillConfig, task: Task, seed: int, device: str, width: int, others: Sequence[Task] = ()
    ) -> None:
        self.config = config
        if parallel.current().size > 1:
            raise UserError(f"arm {config.arm} learns in one process; leave --processes out")
        columns = Lessons.columns(config, task.observation_dim, width)
        super().__init__(config, task, seed, device, columns, others)
        self.labels = self.make_labels(task)
        self._lessons = Lessons(self.graph, self.replay, config.bptt)
        self._first = torch.ones(config.num_worlds, 1, device=self.device)
        self._descent: Descent[Rows] = Descent(self.trained(), config.learning_rate, self._processes)

    @abstractmethod
    def make_labels(self, task: Task) -> Labeller: ...

    @abstractmethod
    def trained(self) -> Iterable[nn.Parameter]:
        """The weights that regress."""

    @abstractmethod
    def predicted(self, rows: Rows) -> Tensor:
        """What the student makes of the rows [T, B, width], with gradient."""

    @abstractmethod
    def executed(self, label: Tensor, action: Tensor) -> Tensor:
        """The action [N, A] to take where the student would take `action`."""

    learns_normalizer = True

    def iterate(self) -> dict[str, float]:
        """One round; returns its metrics. Raises TrainingDiverged when no gradient step was finite."""
        c = self.config

        # N worlds act for T steps, and every state is labelled.
        reward = self._act_and_label()
        metrics = self._worlds.metrics(reward, self._processes)

        def loss(rows: Rows) -> tuple[Tensor, dict[str, Tensor]]:
            error = (self.predicted(rows) - rows["label"]).square().mean(-1)
            mean = (error * rows["weight"]).sum() / rows["weight"].sum().clamp_min(1.0)
            return mean, {"imitation_loss": mean.detach()}

        # The student regresses the labels of all states that are kept; the step size falls linearly to 0.
        self._descent.learning_rate = c.learning_rate * (1.0 - self.iteration / self.total_iterations)
        total, done = 0.0, 0
        for _ in range(c.updates):
            rows = {name: value.to(self.device) for name, value in self._lessons.draw(c.batch, self._random).items()}
            gradient, found, fault = self._descent.gradient(loss, [rows], [1])
            if not fault:
                self._descent.step(gradient, found["gradient_norm"], c.max_gradient_norm)
                total, done = total + found["imitation_loss"], done + 1
        if done == 0:
            raise TrainingDiverged(f"no gradient of iteration {self.iteration} was finite; lower learning_rate")
        self.iteration += 1
        return {**metrics, "imitation_loss": total / done, "skipped_updates": float(c.updates - done)}

    @torch.no_grad()
    def _act_and_label(self) -> Tensor:
        """Act for `rollout_steps` steps; the mean reward of a step."""
        c, graph, worlds = self.config, self.graph, self._worlds
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        normalizer = graph.normalizer
        assert isinstance(normalizer, RunningNormalizer)
        for _ in range(c.rollout_steps):
            observation = graph.observe(worlds.sensors, worlds.state)
            label = self.labels.of(worlds)
            memory = {"memory": next(iter(graph.memory(worlds.state).values()))} if c.actor == "gru" else {}
            self.replay.add(observation=observation, first=self._first, label=label, **memory)
            if self.learns_normalizer:
                normalizer.update(observation)
            chosen, remembered = graph.decide(observation, worlds.state)
            action = self.executed(label, chosen)
            commands, following = graph.apply_action(action, worlds.sensors, worlds.state, remembered)
            step = self._blocks.step(commands)
            worlds.settle(step, following)
            done = step.terminated | step.truncated
            self.labels.settle(action, done)
            self._first = done[:, None].float()
            total += step.reward.double().mean()
            self.steps += c.num_worlds
        return total / c.rollout_steps

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        held = {"labels": self.labels.state, "episode_start": {"first": self._first}}
        return {
            **super().state_dict(),
            "optimizer": self._descent.optimizer.state_dict(),
            "blocks": self._worlds.snapshot(held),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._descent.optimizer.load_state_dict(state["optimizer"])
        held = self._worlds.restore(state["blocks"], ("labels", "episode_start"))
        self.labels.state, self._first = State(held["labels"]), held["episode_start"]["first"]
