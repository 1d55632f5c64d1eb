"""What every learned controller has: a network between observation terms and an action term, with explicit state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from policies.signals import Commands, Sensors, State
from policies.specs import StateSpec
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm


class NetworkPolicy(nn.Module):
    """Observation terms, normaliser, network and action term, of a policy that is deployed or of a teacher.

    `network` maps observations [N, D] to normalised actions [N, action.dim]; a recurrent one has `states`, a tuple of
    StateSpec, and maps (observation, state by name) to (action, next state by name). Raises ValueError when two states
    have the same name.
    """

    def __init__(
        self,
        observation: Sequence[ObservationTerm],
        action: ActionTerm,
        network: nn.Module,
        normalizer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.observation = tuple(observation)
        self.action = action
        self.network = network
        self.normalizer = nn.Identity() if normalizer is None else normalizer
        self.network_states: tuple[StateSpec, ...] = tuple(getattr(network, "states", ()))
        self.states = _states(self.observation, self.network_states)
        self._rows: dict[torch.device, tuple[Tensor, ...]] = {}

    @property
    def observation_dim(self) -> int:
        return sum(term.dim for term in self.observation)

    def initial_state(self, batch: int, device: torch.device | str = "cpu") -> State:
        """The state after a reset, for `batch` robots: every tensor [batch, dim]."""
        rows = zip(self.states, self._reset_rows(torch.device(device)), strict=True)
        return State({s.name: row.repeat(batch, 1) for s, row in rows})

    def _reset_rows(self, device: torch.device) -> tuple[Tensor, ...]:
        """The states' reset values [1, dim], cached per device: with many robots, almost every step resets one."""
        if device not in self._rows:
            self._rows[device] = tuple(torch.tensor([s.reset], dtype=torch.float32, device=device) for s in self.states)
        return self._rows[device]

    def reset_where(self, state: State, mask: Tensor) -> State:
        """`state` with the rows where `mask` [N] is true set to their reset value.

        The rows are written in place (few worlds end in a step, and a history is wide), so pass a state that nothing
        else uses, such as the one a step has just returned; a state that carries gradients is copied first.
        """
        ids = mask.nonzero()[:, 0]
        if not len(ids):
            return state
        values = {s.name: state[s.name].clone() if state[s.name].requires_grad else state[s.name] for s in self.states}
        for s, row in zip(self.states, self._reset_rows(mask.device), strict=True):
            values[s.name].index_copy_(0, ids, row.expand(len(ids), -1))
        return State(values)

    def observe_sensors(self, sensors: Sensors, state: State) -> Tensor:
        """The joined observation terms on `sensors` [N, sum of their dims]."""
        terms = self.observation
        return torch.cat([term(sensors, state) if term.states else sensors.once(term, state) for term in terms], -1)

    def act(self, observation: Tensor) -> Tensor:
        """The normalised action [N, A], not yet bounded, of a network without memory."""
        action: Tensor = self.network(self.normalizer(observation))
        return action

    def decide(self, observation: Tensor, state: State) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The normalised action [N, A], not yet bounded, and the network's next memory, by name."""
        if not self.network_states:
            return self.act(observation), {}
        action, memory = self.network(self.normalizer(observation), self.memory(state))
        return action, memory

    def memory(self, state: State) -> dict[str, Tensor]:
        """The part of the state that belongs to the network, by name: [N, dim] each."""
        return {s.name: state[s.name] for s in self.network_states}

    def apply_action(
        self, action: Tensor, sensors: Sensors, state: State, memory: Mapping[str, Tensor] | None = None
    ) -> tuple[Commands, State]:
        """Commands and next state for a normalised action [N, A]; the state holds the action as executed.

        `memory` is the network's next memory, by name.
        """
        bounded = self.action.bound(action)
        following: dict[str, Tensor] = dict(memory or {})
        for term in self.observation:
            following.update(term.advance(sensors, state, bounded))
        return self.action(bounded, sensors), State(following)


def _states(terms: Sequence[ObservationTerm], memory: tuple[StateSpec, ...]) -> tuple[StateSpec, ...]:
    states = (*(s for term in terms for s in term.states), *memory)
    names = [s.name for s in states]
    if len(set(names)) != len(names):
        raise ValueError(f"two states have the same name: {names}; rename one")
    return states
