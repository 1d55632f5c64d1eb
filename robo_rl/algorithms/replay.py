"""The replay memory: the last steps of N worlds, in a memory-mapped file beside the checkpoint.

The file is a ring of slots, one step of every world each. A checkpoint holds only the number of rows, so the file must
keep the rows of the last checkpoint: before a slot of that checkpoint is overwritten, it is appended to a second file,
from which a resumed training restores it. A killed process loses nothing that it wrote (the operating system has it); a
power failure may lose rows.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.errors import UserError

FILE, UNDO_FILE = "replay.bin", "replay.undo"
_FINITE = "finite"


@dataclass(frozen=True)
class Ahead:
    """A few steps from each of B steps on: the sum of their `reward` [B], the `last` of them [B], the discount [B] of
    the value after it, and whether [B] all their rows are finite."""

    reward: Tensor
    last: Tensor
    discount: Tensor
    finite: Tensor


class Replay:
    """The last `capacity` steps of N `worlds` together; `widths` names the columns of a row, all float32.

    Steps are counted from 0 through the whole training; a row is named by step and world. Rows are on the CPU, in
    memory until `open` gives them a file. Values that are not finite are stored as 0, and their row is marked.
    """

    def __init__(self, worlds: int, capacity: int, widths: Mapping[str, int]) -> None:
        self.slots = capacity // worlds
        if self.slots < 2:
            raise UserError(f"a replay of {capacity} steps is less than two of each of {worlds} worlds; raise capacity")
        self.count = 0
        """Steps added so far."""
        self._columns: dict[str, slice] = {}
        end = 0
        for name, width in {**widths, _FINITE: 1}.items():
            self._columns[name] = slice(end, end + width)
            end += width
        self._shape = (self.slots, worlds, end)
        self._table = torch.zeros(self._shape)
        self._map: np.memmap[Any, Any] | None = None
        self._fresh = True
        self._undo: Path | None = None
        self._saved = 0

    def open(self, folder: Path) -> None:
        """Keep the rows in files in `folder` from now on. Raises OSError when there is no room for them."""
        path, size = folder / FILE, 4 * int(np.prod(self._shape))
        with path.open("ab") as file:
            self._fresh = path.stat().st_size != size
            if self._fresh:
                file.truncate(0)
                # Allocate everything now: a mapped file on a full disk would end the process later.
                getattr(os, "posix_fallocate", lambda handle, _, size: os.ftruncate(handle, size))(
                    file.fileno(), 0, size
                )
        self._map = np.memmap(path, np.float32, "r+", shape=self._shape)
        self._table = torch.from_numpy(self._map)
        self._undo = folder / UNDO_FILE

    @property
    def oldest(self) -> int:
        """The oldest step that is stored."""
        return max(0, self.count - self.slots)

    @torch.no_grad()
    def add(self, **columns: Tensor) -> None:
        """One step of every world: [N, width], or [N] for a width of 1."""
        slot = self.count % self.slots
        if self._undo is not None and self.slots <= self.count < self._saved + self.slots:
            with self._undo.open("ab") as file:
                file.write(self._table[slot].numpy().tobytes())
        rows = self._table[slot]
        for name, value in columns.items():
            rows[:, self._columns[name]] = value.view(len(rows), -1).float()
        finite = rows[:, : self._columns[_FINITE].start].isfinite().all(-1)
        rows[:, self._columns[_FINITE]] = finite[:, None].float()
        if not bool(finite.all()):
            rows.nan_to_num_(0.0, 0.0, 0.0)
        self.count += 1

    def draw(self, rows: int, generator: torch.Generator, before: int = 0) -> tuple[Tensor, Tensor]:
        """`rows` steps and worlds, drawn uniformly from all that are stored and are preceded by `before` steps that are
        stored, or by all that there were."""
        first = self.oldest + (before if self.oldest else 0)
        steps = torch.randint(first, self.count, (rows,), generator=generator)
        return steps, torch.randint(0, self._shape[1], (rows,), generator=generator)

    def read(self, steps: Tensor, worlds: Tensor) -> dict[str, Tensor]:
        """The columns [B, width] of stored rows."""
        rows = self._table[steps % self.slots, worlds]
        return {name: rows[:, part] for name, part in self._columns.items() if name != _FINITE}

    def finite(self, steps: Tensor, worlds: Tensor) -> Tensor:
        """Whether [B] every value of a row was finite."""
        return self._table[steps % self.slots, worlds, self._columns[_FINITE].start] > 0.5

    def ahead(self, steps: Tensor, worlds: Tensor, length: int, discount: float, ends: tuple[str, ...]) -> Ahead:
        """What followed over `length` steps, or fewer where one of the columns `ends` is set or no newer step is
        stored.

        The row of each step has a column `reward`.
        """
        reward, factor = torch.zeros(len(steps)), torch.ones(len(steps))
        last, finite = steps, torch.ones(len(steps), dtype=torch.bool)
        going = torch.ones_like(finite)
        for k in range(length):
            at = steps + k
            going = going & (at < self.count)
            slots = at % self.slots
            finite &= ~going | self.finite(at, worlds)
            reward += torch.where(going, factor * self._table[slots, worlds, self._columns["reward"].start], 0.0)
            last = torch.where(going, at, last)
            factor = torch.where(going, factor * discount, factor)
            for name in ends:
                going = going & (self._table[slots, worlds, self._columns[name].start] < 0.5)
        return Ahead(reward, last, factor, finite)

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The state for a checkpoint: the number of steps and, unless a file holds them, the rows."""
        if self._map is None:
            return {"count": self.count, "shape": list(self._shape), "table": self._table.clone()}
        self._map.flush()
        return {"count": self.count, "shape": list(self._shape), "table": None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`. ValueError when it is that of other rows, or its rows are missing."""
        if tuple(state["shape"]) != self._shape:
            raise ValueError(f"replay of shape {state['shape']}, not {list(self._shape)}")
        if state["table"] is not None:
            self._table.copy_(state["table"])
        elif self._fresh and state["count"]:
            raise ValueError(f"the rows of the replay are in {FILE}, which is not there")
        self.count = state["count"]
        if self._undo is not None and self._undo.exists():
            self._put_back(self._undo)
        self.saved()

    def saved(self) -> None:
        """The last `state` is on disk, so no older row needs to be restored."""
        self._saved = self.count
        if self._undo is not None:
            self._undo.write_bytes(struct.pack("<q", self.count))

    def _put_back(self, undo: Path) -> None:
        """Restore the slots overwritten since the checkpoint, if the file belongs to it; an incomplete slot at its end
        was not overwritten."""
        with undo.open("rb") as file:
            if file.read(8) != struct.pack("<q", self.count):
                return
            size, step = 4 * self._shape[1] * self._shape[2], max(self.count, self.slots)
            while len(rows := file.read(size)) == size:
                self._table[step % self.slots] = torch.from_numpy(np.frombuffer(rows, np.float32).copy()).view(
                    self._shape[1:]
                )
                step += 1
