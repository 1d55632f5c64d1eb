"""What every physics backend offers; contacts, ray casts and the like join when a backend that has them does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Physics(Protocol):
    """N worlds of one robot, stepped together; every tensor has N rows."""

    @property
    def num_worlds(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def dt(self) -> float:
        """Length of one substep, s."""
        ...

    @property
    def parameters(self) -> Tensor:
        """Per-world model parameters, a live view that may be written between steps."""
        ...

    def sensors(self) -> dict[str, Tensor]:
        """True values by name [N, dim], SI units; they do not change with later steps."""
        ...

    def step(self, command: Tensor, substeps: int = 1) -> None:
        """Hold actuator commands [N, A] for `substeps` steps of `dt`."""
        ...

    def write(self, ids: Tensor, rows: Tensor) -> None:
        """Set the state rows [K, S] of the worlds `ids` [K]."""
        ...

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the future."""
        ...

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot, bit for bit on a CPU."""
        ...
