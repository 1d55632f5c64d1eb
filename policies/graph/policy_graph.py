"""The policy graph: one function from named sensors and explicit state to named commands and the next state.

    sensors -> observation terms -> normaliser -> network -> action term -> commands
                     ^                      ^ |        |
                   state  <------- advance  <-+--------+

Training calls it on thousands of robots and the exporter traces the same module, so no robot re-implements any of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from policies.signals import Commands, Sensors, State
from policies.specs import CommandSpec, SensorSpec, StateSpec
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm


class PolicyGraph(nn.Module):
    """A deployable policy, built only from terms on `Sensors`.

    `network` maps observations [N, observation_dim] to normalised actions [N, action.dim]; a recurrent one has
    `states`, a tuple of StateSpec, and maps (observation, state by name) to (action, next state by name). `period` is
    the control period in seconds. Raises ValueError when a term names a sensor that the robot does not have.
    """

    def __init__(
        self,
        sensors: Sequence[SensorSpec],
        commands: Sequence[CommandSpec],
        observation: Sequence[ObservationTerm],
        action: ActionTerm,
        network: nn.Module,
        period: float,
        normalizer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.sensors = tuple(sensors)
        self.commands = tuple(commands)
        self.observation = tuple(observation)
        self.action = action
        self.network = network
        self.normalizer = nn.Identity() if normalizer is None else normalizer
        self.period = period
        self.network_states: tuple[StateSpec, ...] = tuple(getattr(network, "states", ()))
        self.states = _states(self.observation, self.network_states)
        self._rows: dict[torch.device, tuple[Tensor, ...]] = {}
        self._check()

    def _check(self) -> None:
        known = {s.name for s in self.sensors}
        for term in self.observation:
            missing = [name for name in term.sensors if name not in known]
            if missing:
                raise ValueError(
                    f"{type(term).__name__} reads {', '.join(missing)}, which the robot does not have; "
                    f"its sensors: {', '.join(sorted(known))}"
                )
        produced = set(self.action.commands)
        wanted = {c.name for c in self.commands}
        if produced != wanted:
            raise ValueError(f"the action term produces {sorted(produced)}, the robot takes {sorted(wanted)}")
        if not self.period > 0.0:
            raise ValueError(f"period must be above 0 s, got {self.period}")

    @property
    def observation_dim(self) -> int:
        return sum(term.dim for term in self.observation)

    @property
    def used_sensors(self) -> tuple[SensorSpec, ...]:
        """The sensors that any term reads, in the robot's order: the inputs of the exported graph."""
        read = {name for term in self.observation for name in term.sensors}
        return tuple(s for s in self.sensors if s.name in read)

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

    def observe(self, sensors: Sensors, state: State) -> Tensor:
        """The joined observation terms [N, observation_dim], before the normaliser."""
        if not isinstance(sensors, Sensors):
            raise TypeError(
                f"a policy graph reads Sensors, got {type(sensors).__name__}: privileged state can't be deployed"
            )
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

    def forward(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        """One deployed step: the deterministic action."""
        action, memory = self.decide(self.observe(sensors, state), state)
        return self.apply_action(action, sensors, state, memory)


def _states(terms: Sequence[ObservationTerm], memory: tuple[StateSpec, ...]) -> tuple[StateSpec, ...]:
    states = (*(s for term in terms for s in term.states), *memory)
    names = [s.name for s in states]
    if len(set(names)) != len(names):
        raise ValueError(f"two states have the same name: {names}; rename one")
    return states
