"""The policy graph: one function from named sensors and explicit state to named commands and the next state.

    sensors -> observation terms -> normaliser -> network -> action term -> commands
                     ^                      ^ |        |
                   state  <------- advance  <-+--------+

Training calls it on thousands of robots and the exporter traces the same module, so no robot re-implements any of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from policies.graph.network_policy import NetworkPolicy
from policies.signals import Commands, Sensors, State
from policies.specs import CommandSpec, SensorSpec
from policies.terms.actions import ActionTerm
from policies.terms.observations import ObservationTerm


class PolicyGraph(NetworkPolicy):
    """A deployable policy, built only from terms on `Sensors`.

    `network` is as for `NetworkPolicy`, with D = observation_dim. `period` is the control period in seconds. Raises
    ValueError when a term names a sensor that the robot does not have.
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
        super().__init__(observation, action, network, normalizer)
        self.sensors = tuple(sensors)
        self.commands = tuple(commands)
        self.period = period
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
    def used_sensors(self) -> tuple[SensorSpec, ...]:
        """The sensors that any term reads, in the robot's order: the inputs of the exported graph."""
        read = {name for term in self.observation for name in term.sensors}
        return tuple(s for s in self.sensors if s.name in read)

    def observe(self, sensors: Sensors, state: State) -> Tensor:
        """The joined observation terms [N, observation_dim], before the normaliser."""
        if not isinstance(sensors, Sensors):
            raise TypeError(
                f"a policy graph reads Sensors, got {type(sensors).__name__}: privileged state can't be deployed"
            )
        return self.observe_sensors(sensors, state)

    def forward(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        """One deployed step: the deterministic action."""
        action, memory = self.decide(self.observe(sensors, state), state)
        return self.apply_action(action, sensors, state, memory)
