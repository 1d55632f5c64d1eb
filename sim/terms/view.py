"""What a term's function reads: named tensors of N worlds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from policies.errors import UserError
from sim.terms.parameters import near


class View(Mapping[str, Tensor]):
    """Named tensors [N, ...], read-only: what is true of N worlds now, and what a scenario adds to it.

    A constant of the robot has one row. `num_worlds` is N, `period` the control period in s, `device` where the tensors
    are. An unknown name is a UserError that lists near matches. Terms must not write into the tensors.
    """

    __slots__ = ("_tensors", "device", "num_worlds", "period")

    def __init__(self, tensors: Mapping[str, Tensor], num_worlds: int, period: float, device: str) -> None:
        self._tensors = tensors
        self.num_worlds = num_worlds
        self.period = period
        self.device = device

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise UserError(f"a term reads {name!r}, which this task's worlds don't have{near(name, self._tensors)}")
        return self._tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
