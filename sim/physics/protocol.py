"""What physics backends offer: what all have in common, vehicles given by one state row, and robots with joints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


class Worlds(Protocol):
    """N worlds of one robot, stepped together; every tensor has N rows."""

    @property
    def num_worlds(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def dt(self) -> float:
        """Length of one substep, s."""
        ...

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the future."""
        ...

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot, bit for bit on a CPU."""
        ...


class Physics(Worlds, Protocol):
    """Vehicles whose world is one row of numbers."""

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


class JointedPhysics(Worlds, Protocol):
    """Robots with joints and contacts; `nq` positions and `nv` velocities as MuJoCo orders them."""

    @property
    def values(self) -> Tensor:
        """All sensors [N, D] float32, SI units: a new tensor after every step and refresh."""
        ...

    def columns(self, name: str) -> slice:
        """Where a sensor stands in `values`; a UserError names near matches."""
        ...

    @property
    def qpos(self) -> NDArray[np.float64]:
        """Positions [N, nq], live."""
        ...

    @property
    def qvel(self) -> NDArray[np.float64]:
        """Velocities [N, nv], live."""
        ...

    @property
    def wrench(self) -> NDArray[np.float64]:
        """Force (N) and torque (Nm) on the base [N, 6], world axes; live, kept until changed."""
        ...

    def step(self, command: Tensor, delay: Tensor | None = None) -> None:
        """One control period under commands [N, A]; a world's first `delay` [N] substeps are under the last ones."""
        ...

    def write(self, ids: Tensor, qpos: NDArray[np.float64], qvel: NDArray[np.float64]) -> None:
        """Set positions [K, nq] and velocities [K, nv] of the worlds `ids` [K]; `refresh` follows."""
        ...

    def refresh(self, ids: Tensor, command: NDArray[np.float64] | None = None) -> None:
        """Bring the sensors of the worlds `ids` [K] up to what was written, under commands [K, A]."""
        ...

    def expand(self, field: str) -> NDArray[np.float64]:
        """Per-world values [N, ...] of a model parameter: live, to be written."""
        ...

    def nominal(self, field: str) -> NDArray[np.float64]:
        """The model's own values [...] of a parameter."""
        ...

    def set_const(self, ids: Tensor | None = None) -> None:
        """Let what the model derives from its parameters follow what was written for the worlds `ids` [K]."""
        ...

    def ray(self, points: ArrayLike, directions: ArrayLike, ids: Tensor | None = None) -> Tensor:
        """Distances [K, R] in m from `points` [K, R, 3] along `directions` to the static world; -1 for a miss."""
        ...

    @property
    def failed(self) -> Tensor:
        """Worlds [N] that failed in the last step and were put back to a safe state."""
        ...

    @property
    def failures(self) -> int:
        """How many worlds have failed so far."""
        ...
