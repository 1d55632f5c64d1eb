"""Named tensors, one type for each kind, so that what only a simulator knows cannot be passed to a policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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


class Truth(_Named):
    """What only a simulator knows: for rewards, critics and teachers, never for a policy graph."""


class Commands(_Named):
    """What a robot's actuators are told, in SI units."""


class State(_Named):
    """What a policy graph carries from one step to the next."""
