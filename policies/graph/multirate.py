"""A policy called several times within each control period: commands follow newer sensors, while states still advance
once per control period.

All calls of a period read the same held states. After the last call, a state whose `between` is "mean" becomes the mean
of the calls' next states, summed in call order in float32 and then divided; a state whose `between` is "first" becomes
the next state of the period's first call. docs/bundle.md says why; deploy/bundle/runtime.py does the same in numpy for
one robot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Sensors, State
from policies.specs import StateSpec

SUBSTEP = "substep"
"""Name of the state [N, 1], int64, that counts each world's calls in the current period."""
POOLED = "pooled."
"""Prefix of a state's name: the sum of its next states in this period so far, or the first of them, [N, dim]."""


class MultiRate:
    """Calls `step` `substeps` times per control period, for N worlds, each with its own position in the period.

    `step` maps sensors and the states `states` [N, dim] to commands and the next states, as a PolicyGraph does. The
    carried state has those by name and, for `substeps` above 1, also the call count and the pooled next states. With
    one sub-step it equals `step` bit for bit. Raises UserError for `substeps` below 1.
    """

    def __init__(
        self,
        step: Callable[[Sensors, State], tuple[Commands, State]],
        states: Sequence[StateSpec],
        substeps: int,
    ) -> None:
        if substeps < 1:
            raise UserError(f"substeps must be at least 1, the calls in a control period, got {substeps}")
        self._step = step
        self._states = tuple(states)
        self.substeps = substeps

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        """The state after a reset, at the start of a period: every tensor [batch, dim]."""
        held = {s.name: torch.tensor([s.reset] * batch, device=device) for s in self._states}
        if self.substeps == 1:
            return State(held)
        pooled = {POOLED + name: torch.zeros_like(value) for name, value in held.items()}
        return State({**held, **pooled, SUBSTEP: torch.zeros(batch, 1, dtype=torch.int64, device=device)})

    def reset_where(self, state: State, mask: Tensor) -> State:
        """`state` with the rows where `mask` [N] is true reset to the start of a period."""
        start = self.initial_state(1, str(mask.device))
        return State({name: torch.where(mask[:, None], start[name], value) for name, value in state.items()})

    def step(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        """Commands and next state of one call; `state` itself is never modified, even if the call raises."""
        commands, following = self._step(sensors, State({s.name: state[s.name] for s in self._states}))
        if self.substeps == 1:
            return commands, following
        substep = state[SUBSTEP]
        opens, closes = substep == 0, substep == self.substeps - 1
        after = {SUBSTEP: torch.where(closes, 0, substep + 1)}
        for s in self._states:
            now, before = following[s.name], state[POOLED + s.name]
            if s.between == "mean":
                pooled = torch.where(opens, now, before + now)
                # Divide by a tensor: for a Python number torch may multiply by the inverse, which rounds differently.
                ended = pooled / torch.full_like(pooled[:, :1], self.substeps)
            else:
                pooled = ended = torch.where(opens, now, before)
            after[POOLED + s.name] = pooled
            after[s.name] = torch.where(closes, ended, state[s.name])
        return commands, State(after)
