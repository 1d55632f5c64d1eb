"""Named tensors, with one type per kind, so that privileged simulator state can't be passed to a policy by mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor


class _Named(Mapping[str, Tensor]):
    """An immutable set of named [batch, dim] tensors.

    `rows` are tensors [batch, D] with their named columns, which become tensors of their own when they are first read;
    `values` come before them.
    """

    __slots__ = ("_rows", "_values")

    def __init__(self, values: Mapping[str, Tensor], rows: Sequence[tuple[Tensor, Mapping[str, slice]]] = ()) -> None:
        self._values = dict(values)
        self._rows = rows

    def __getitem__(self, name: str) -> Tensor:
        if name in self._values:
            return self._values[name]
        for row, columns in self._rows:
            if name in columns:
                self._values[name] = value = row[:, columns[name]]
                return value
        known = ", ".join(sorted(self)) or "none"
        raise KeyError(f"no {type(self).__name__.lower()} named {name!r}; there are: {known}")

    def __contains__(self, name: object) -> bool:
        return name in self._values or any(name in columns for _, columns in self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._values, *(name for _, columns in self._rows for name in columns)]))

    def __len__(self) -> int:
        return len(set(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({ {name: tuple(value.shape) for name, value in self._values.items()} })"


class Sensors(_Named):
    """What a robot measures: the only signals that a policy may read."""

    __slots__ = ("_computed",)

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__(values)
        self._computed: dict[int, tuple[object, Tensor]] = {}

    def once(self, term: Callable[[Sensors, State], Tensor], state: State) -> Tensor:
        """The value [N, D] of a stateless `term` on these sensors, computed once and then reused.

        Both the observation and a history of the same term need it in each step. While gradients are recorded or the
        graph is traced, every call computes it. Do not write into the result.
        """
        if torch.is_grad_enabled() or _traced():
            return term(self, state)
        if id(term) not in self._computed:
            # The term is kept with its value, so that no other object can get its id.
            self._computed[id(term)] = term, term(self, state)
        return self._computed[id(term)][1]


class Truth(_Named):
    """Privileged state, known only to a simulator: for rewards, critics and teachers, never for a policy graph."""


class Commands(_Named):
    """Actuator commands, in SI units."""


class State(_Named):
    """The state that a policy graph carries from one step to the next."""


def _traced() -> bool:
    return bool(torch.jit.is_tracing() or torch.compiler.is_compiling())  # type: ignore[attr-defined, no-untyped-call]
