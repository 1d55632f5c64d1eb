"""Named tensors, one type for each kind, so that what only a simulator knows cannot be passed to a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor


class _Named(Mapping[str, Tensor]):
    """An immutable set of named [batch, dim] tensors."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._values[name]
        except KeyError:
            known = ", ".join(sorted(self._values)) or "none"
            raise KeyError(f"no {type(self).__name__.lower()} named {name!r}; there are: {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({ {name: tuple(value.shape) for name, value in self._values.items()} })"


class Sensors(_Named):
    """What a robot measures: all that a policy may read."""

    __slots__ = ("_reckoned",)

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__(values)
        self._reckoned: dict[int, tuple[object, Tensor]] = {}

    def once(self, term: Callable[[Sensors, State], Tensor], state: State) -> Tensor:
        """What a `term` that carries no state makes of these sensors, reckoned when it is first asked for.

        An observation needs it and, a moment later, a history of the same term. Where gradients are recorded or the
        graph is being traced, it is reckoned each time. Do not write into the result.
        """
        if torch.is_grad_enabled() or _traced():
            return term(self, state)
        if id(term) not in self._reckoned:
            # The term is kept along with its value, so that no other one can take its id.
            self._reckoned[id(term)] = term, term(self, state)
        return self._reckoned[id(term)][1]


class Truth(_Named):
    """What only a simulator knows: for rewards, critics and teachers, never for a policy graph."""


class Commands(_Named):
    """What a robot's actuators are told, in SI units."""


class State(_Named):
    """What a policy graph carries from one step to the next."""


def _traced() -> bool:
    return bool(torch.jit.is_tracing() or torch.compiler.is_compiling())  # type: ignore[attr-defined, no-untyped-call]
