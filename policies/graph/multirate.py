"""A policy called several times within each of its control periods: it acts on newer sensors, and its states go on
counting control periods.

All calls of a period read the same held states. After the last one, a state whose `between` is "mean" becomes the mean
of the calls' next states, summed in their order in float32 and then divided, and one whose `between` is "first" the
next state of the period's first call. docs/bundle.md says why; deploy/bundle/runtime.py does the
same in numpy for one robot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Sensors, State
from policies.specs import Bounds, expand

SUBSTEP = "substep"
"""The state [N, 1], int64, that counts a world's calls in its present period."""
POOLED = "pooled."
"""Before a state's name: what its period's calls have given so far, their sum or the first of them, [N, dim]."""


class CarriedState(Protocol):
    """What is known of a state: a `policies.specs.StateSpec`, or a bundle's own entry."""

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def reset(self) -> Bounds: ...
    @property
    def between(self) -> str: ...


class MultiRate:
    """Calls `step` `substeps` times a control period, for N worlds, each at a place of its own in its period.

    `step` maps sensors and the states `states` [N, dim] to commands and the next states, as a PolicyGraph does. The
    state carried here holds those by their names, and besides, where `substeps` is above 1, the place in the period and
    what is pooled. With one sub-step it is `step` itself, bit for bit. Raises UserError for fewer.
    """

    def __init__(
        self,
        step: Callable[[Sensors, State], tuple[Commands, State]],
        states: Sequence[CarriedState],
        substeps: int,
    ) -> None:
        if substeps < 1:
            raise UserError(f"a policy is called at least once a control period, got {substeps} times")
        self._step = step
        self._states = tuple(states)
        self.substeps = substeps

    def initial_state(self, batch: int, device: str = "cpu") -> State:
        """The state after a reset, for `batch` worlds: at the start of a period."""
        held = {s.name: torch.tensor([expand(s.reset, s.dim, s.name)] * batch, device=device) for s in self._states}
        if self.substeps == 1:
            return State(held)
        pooled = {POOLED + name: torch.zeros_like(value) for name, value in held.items()}
        return State({**held, **pooled, SUBSTEP: torch.zeros(batch, 1, dtype=torch.int64, device=device)})

    def reset_where(self, state: State, mask: Tensor) -> State:
        """`state` with the rows where `mask` [N] is true reset, wherever in their period they were."""
        start = self.initial_state(1, str(mask.device))
        return State({name: torch.where(mask[:, None], start[name], value) for name, value in state.items()})

    def step(self, sensors: Sensors, state: State) -> tuple[Commands, State]:
        """Commands and next state of one call; `state` itself is not changed, so a call that raises leaves it."""
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
                # Divided by a tensor: by a number, torch may multiply by its inverse, which rounds otherwise.
                ended = pooled / torch.full_like(pooled[:, :1], self.substeps)
            else:
                pooled = ended = torch.where(opens, now, before)
            after[POOLED + s.name] = pooled
            after[s.name] = torch.where(closes, ended, state[s.name])
        return commands, State(after)
