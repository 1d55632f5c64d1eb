"""Teachers: controllers that read what only a simulator knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from policies.graph.network_policy import NetworkPolicy
from policies.signals import Commands, Sensors, State, Truth
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm


class Teacher(ABC):
    """Acts on N simulated robots, and labels the states that a student visits.

    It reads the `Truth`, so it is not a policy graph: nothing exports it, and no robot can carry it. `action` is the
    action term of its task.
    """

    action: ActionTerm

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        """The teacher's state after a restart, for `batch` robots; empty by default."""
        return State({})

    def reset_where(self, state: State, mask: Tensor) -> State:
        """`state` with the rows where `mask` [N] is true set to those after a restart."""
        fresh = self.initial_state(len(mask), str(mask.device)) if state else state
        return State({name: torch.where(mask[:, None], fresh[name], value) for name, value in state.items()})

    @abstractmethod
    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, State]:
        """The normalised action [N, A] that it would take, and its next state."""

    def after(self, sensors: Sensors, state: State, following: State, action: Tensor) -> State:
        """Its next state where `action` [N, A] was executed, as when a student acts, instead of the label: `label` was
        called with `sensors` and `state` and returned `following`. A teacher that observes its last action must know
        the one that was executed."""
        return following

    def step(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Commands, State]:
        """Its commands for one control period, and its next state."""
        action, following = self.label(sensors, truth, state)
        return self.action(self.action.bound(action), sensors), following


class TruthTerm(Protocol):
    """A part of what a learned teacher observes: [N, dim] of the truth."""

    @property
    def dim(self) -> int: ...
    def __call__(self, truth: Truth) -> Tensor: ...


@dataclass(frozen=True)
class Known:
    """A named value of the truth, times `scale`: [N, dim]."""

    name: str
    dim: int
    scale: float = 1.0

    def __call__(self, truth: Truth) -> Tensor:
        return self.scale * truth[self.name]


class LearnedTeacher(NetworkPolicy, Teacher):
    """A network over the truth: terms -> normaliser -> network -> normalised action.

    `observation` are terms on the sensors, which come before those on the truth.
    """

    def __init__(
        self,
        terms: Sequence[TruthTerm],
        network: nn.Module,
        action: ActionTerm,
        normalizer: nn.Module | None = None,
        observation: Sequence[ObservationTerm] = (),
    ) -> None:
        super().__init__(observation, action, network, normalizer)
        self.terms = tuple(terms)

    @property
    def observation_dim(self) -> int:
        return super().observation_dim + sum(term.dim for term in self.terms)

    def observe(self, sensors: Sensors, truth: Truth, state: State) -> Tensor:
        """The joined terms [N, observation_dim], before the normaliser."""
        seen = [self.observe_sensors(sensors, state)] if self.observation else []
        return torch.cat([*seen, *(term(truth) for term in self.terms)], -1)

    def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, State]:
        action, memory = self.decide(self.observe(sensors, truth, state), state)
        return action, self.apply_action(action, sensors, state, memory)[1]

    def after(self, sensors: Sensors, state: State, following: State, action: Tensor) -> State:
        return self.apply_action(action, sensors, state, self.memory(following))[1]
