"""What every physics backend offers, on torch tensors: no caller needs to know which backend it has.

All tensors are on the backend's `device` and have one row for each of N worlds. Those called live are the backend's own
memory: what is written into them holds from the next step on.

Worlds are chosen by masks [N] bool, never by index: a mask has the same shape whichever worlds restart, so that a GPU
needs no synchronisation with the host to learn how many there are, and can replay a captured graph. Values that come
with a mask have a row for every world; rows outside the mask are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import mujoco
from torch import Tensor


class Physics(Protocol):
    """N worlds of one robot, stepped together."""

    @property
    def num_worlds(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def dt(self) -> float:
        """Length of one substep, s."""
        ...

    @property
    def substeps(self) -> int:
        """Substeps of one step."""
        ...

    @property
    def values(self) -> Tensor:
        """All sensors [N, D] float32, SI units: a new tensor after every step and write."""
        ...

    def columns(self, name: str) -> slice:
        """Where a sensor is in `values`; a UserError names near matches."""
        ...

    @property
    def qpos(self) -> Tensor:
        """Positions [N, nq], live. A free body: position 3 (m, world), orientation 4 (w, x, y, z)."""
        ...

    @property
    def qvel(self) -> Tensor:
        """Velocities [N, nv], live. A free body: linear 3 (m/s, world), angular 3 (rad/s, body)."""
        ...

    def step(self, command: Tensor) -> None:
        """Advance by `substeps` under actuator commands: [N, A] held, or [N, substeps, A] with one for each substep."""
        ...

    def write(self, worlds: Tensor, qpos: Tensor, qvel: Tensor, command: Tensor | None = None) -> None:
        """Start the masked `worlds` [N] from positions [N, nq] and velocities [N, nv], at rest otherwise, with sensors
        as under `command` [N, A] (default 0)."""
        ...

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the future."""
        ...

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot, bit for bit on a CPU."""
        ...


class ModelFields(Protocol):
    """Model parameters that may differ between worlds, by MuJoCo's names."""

    def nominal(self, field: str) -> Tensor:
        """The model's own values [...], as before any write; read-only. UserError for a field that the model does not
        have."""
        ...

    def expand(self, field: str) -> Tensor:
        """Per-world values [N, ...], live; `set_const` after writing fields that it reads."""
        ...

    def set_const(self, worlds: Tensor) -> None:
        """Recompute what the model derives from masses, frames and default poses, in the masked `worlds` [N]."""
        ...


class JointedPhysics(Physics, Protocol):
    """Robots with joints and contacts, built from one MuJoCo model and in its coordinates."""

    values: Tensor
    """As in `Physics`; a scenario may replace it with better values, and never writes into it."""

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model: names and addresses, and what `fields` start from."""
        ...

    @property
    def fields(self) -> ModelFields | None:
        """Per-world model parameters; None for a backend whose worlds are all alike."""
        ...

    @property
    def wrench(self) -> Tensor:
        """Force (N) and torque (Nm) on the base at its centre of mass [N, 6], world axes; live, kept until changed."""
        ...

    def group(self, names: list[str]) -> slice:
        """Where sensors that follow each other are in `values`, as one slice."""
        ...

    def refresh(self, worlds: Tensor) -> None:
        """Bring the sensors of the masked `worlds` [N] up to what was written into live tensors."""
        ...

    @property
    def failed(self) -> Tensor:
        """Worlds [N] bool that failed in the last step and were put back to the model's default state."""
        ...

    @property
    def failures(self) -> int:
        """How many times a world has failed so far."""
        ...

    def keep_failures(self, folder: Path) -> None:
        """Write the last states of failed worlds into `folder`, where the backend can."""
        ...

    def close(self) -> None:
        """Free the worlds; they can't be used afterwards."""
        ...
