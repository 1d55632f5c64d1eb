"""Worlds that have failed: which, how many, and what their last finite state was."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
MOST_DUMPS = 20
"""Files written at most: a world that fails for a reason fails again."""


class Quarantine:
    """Counts the failed worlds of N and keeps what each was in before its last step.

    `folder` is where `failed-COUNT-world-ID.npz` are written: qpos, qvel, ctrl before the step and after it, and the
    reason.
    """

    def __init__(self, model: mujoco.MjModel, num_worlds: int, folder: Path | None) -> None:
        self.failed: Tensor = torch.zeros(num_worlds, dtype=torch.bool)
        self.count = 0
        self._folder = folder
        self._reported: dict[int, str] = {}
        self._before = (np.zeros((num_worlds, model.nq)), np.zeros((num_worlds, model.nv)))

    def report(self, ids: NDArray[np.int32], reason: str) -> None:
        """Remember worlds that MuJoCo itself gave up in the step under way."""
        self._reported.update({int(world): reason for world in ids})

    def collect(self, finite: NDArray[np.bool_], qpos: Array, qvel: Array, control: Array) -> NDArray[np.int64]:
        """The worlds [K] that failed in the step just made, now counted and dumped."""
        if self._reported:
            finite = finite.copy()
            finite[list(self._reported)] = False
        if finite.all():
            if bool(self.failed.any()):
                self.failed = torch.zeros_like(self.failed)
            if self._folder is not None:
                self._remember(qpos, qvel)
            return np.empty(0, dtype=np.int64)
        ids = np.flatnonzero(~finite)
        self.failed = torch.from_numpy(~finite)
        for world in ids:
            self.count += 1
            self._dump(int(world), qpos[world], qvel[world], control[world])
        self._reported.clear()
        return ids

    def _remember(self, qpos: Array, qvel: Array) -> None:
        self._before[0][:] = qpos
        self._before[1][:] = qvel

    def _dump(self, world: int, qpos: Array, qvel: Array, control: Array) -> None:
        if self._folder is None or self.count > MOST_DUMPS:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"failed-{self.count}-world-{world}.npz"
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(
                file, qpos=qpos, qvel=qvel, ctrl=control, reason=self._reported.get(world, "not finite"),
                qpos_before=self._before[0][world], qvel_before=self._before[1][world],
            )  # fmt: skip
        part.rename(path)
