"""Events that repeat within an episode, at different times in each world."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from sim.terms.terms import Event


class Timers:
    """When each interval event among `events` is due in each of N worlds; looked at every `period` s."""

    def __init__(self, events: Mapping[str, Event], num_worlds: int, period: float, device: str) -> None:
        self._events = {name: event for name, event in events.items() if event.when == "interval"}
        self._period = period
        self._left = {name: torch.full((num_worlds,), torch.inf, device=device) for name in self._events}

    @property
    def active(self) -> bool:
        """Whether there are any interval events."""
        return bool(self._events)

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Draw the times of the next events of the worlds `ids` [K]."""
        for name in self._events:
            self._draw(name, ids, generator)

    def _draw(self, name: str, ids: Tensor, generator: torch.Generator) -> None:
        low, high = self._events[name].interval
        share = torch.rand(len(ids), 1, generator=generator, device=ids.device)[:, 0].double()
        self._left[name].index_copy_(0, ids, (low + share * (high - low)).float())

    def advance(self, call: Callable[[str, Tensor], None], generator: torch.Generator) -> None:
        """`period` later: `call` each event that is due with its name and the worlds [K] in which it is."""
        for name, left in self._left.items():
            left -= self._period
            ids = (left <= 0.0).nonzero()[:, 0]
            if len(ids):
                call(name, ids)
                self._draw(name, ids, generator)

    def snapshot(self) -> dict[str, Tensor]:
        return {name: left.clone() for name, left in self._left.items()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for name, left in self._left.items():
            left.copy_(snapshot[name])
