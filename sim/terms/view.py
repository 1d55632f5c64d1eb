"""What a term's function reads: named tensors of N worlds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, overload

from torch import Tensor

from policies.errors import UserError
from sim.terms.parameters import near

T = TypeVar("T")


class UnknownTensor(UserError, KeyError):
    """A term reads a tensor that its view does not hold."""

    __str__ = UserError.__str__


class View(Mapping[str, Tensor]):
    """Named tensors [N, ...], read-only: what is true of N worlds now, and what a scenario adds to it.

    A constant of the robot has one row. `num_worlds` is N, `period` the control period in s, `device` where the tensors
    are. An unknown name is a UserError that lists near matches. Terms must not write into the tensors.

    `computed` are tensors made when they are first read; `truth` holds further ones, which come after `tensors`.
    """

    __slots__ = ("_computed", "_known", "_tensors", "_truth", "device", "num_worlds", "period")

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        num_worlds: int,
        period: float,
        device: str,
        computed: Mapping[str, Callable[[], Tensor]] | None = None,
        truth: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._tensors = tensors
        self._truth = {} if truth is None else truth
        self._computed = computed or {}
        self._known: dict[str, Tensor] = {}
        self.num_worlds = num_worlds
        self.period = period
        self.device = device

    def adding(self, **tensors: Tensor) -> View:
        """This view with further tensors."""
        own = {**self._tensors, **tensors}
        return View(own, self.num_worlds, self.period, self.device, self._computed, self._truth)

    def __getitem__(self, name: str) -> Tensor:
        if name in self._tensors:
            return self._tensors[name]
        if name in self._truth:
            return self._truth[name]
        if name not in self._computed:
            raise UnknownTensor(f"a term reads {name!r}, which this task's worlds don't have{near(name, self)}")
        if name not in self._known:
            self._known[name] = self._computed[name]()
        return self._known[name]

    @overload
    def get(self, name: str, default: None = None, /) -> Tensor | None: ...
    @overload
    def get(self, name: str, default: Tensor | T, /) -> Tensor | T: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        """As a mapping's, without the search for near matches that an unknown name would cost."""
        return self[name] if name in self else default  # noqa: SIM401

    def __contains__(self, name: object) -> bool:
        return name in self._tensors or name in self._truth or name in self._computed

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._tensors, *self._truth, *self._computed)))

    def __len__(self) -> int:
        return len(set(self))
