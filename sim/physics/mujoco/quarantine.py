"""Worlds that have failed: which, how many, why, and the states before, to be looked at and replayed."""

from __future__ import annotations

import os
import warnings
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
MOST_DUMPS = 20
"""Files written at most: a world that fails for a reason fails again."""
HISTORY = 4
"""States kept of each world, one per step."""
_WARNINGS = {
    mujoco.mjtWarning.mjWARN_CONTACTFULL: "too many contacts for the model's memory",
    mujoco.mjtWarning.mjWARN_CNSTRFULL: "too many constraints for the model's memory",
    mujoco.mjtWarning.mjWARN_BADQPOS: "a position is not finite or enormous",
    mujoco.mjtWarning.mjWARN_BADQVEL: "a velocity is not finite or enormous",
    mujoco.mjtWarning.mjWARN_BADQACC: "an acceleration is not finite or enormous",
    mujoco.mjtWarning.mjWARN_BADCTRL: "a command is not finite or enormous",
}


class Quarantine:
    """Finds and counts the failed worlds of a batch.

    `folder`, which may be set at any time, is where `failed-COUNT-world-ID.npz` go (see `read_dump`), MOST_DUMPS at
    most; none are written, and no states kept, while it is None.
    """

    def __init__(self, batch: Batch, substeps: int, folder: Path | None = None) -> None:
        self._failed, self._some_failed = torch.zeros(batch.nsim, dtype=torch.bool), False
        self.count = 0
        self.folder = folder
        self._batch = batch
        self._substeps = substeps
        self._reported: dict[int, str] = {}
        self._history: deque[Array] = deque(maxlen=HISTORY)

    @property
    def failed(self) -> Tensor:
        """Worlds [N] that failed in the last step: bool."""
        return self._failed

    @failed.setter
    def failed(self, worlds: Tensor) -> None:
        self._failed, self._some_failed = worlds, bool(worlds.any())

    def remember(self) -> None:
        """Keep all states as they are before a step."""
        if self.folder is not None:
            self._history.append(self._batch.state.copy())

    def forget(self) -> None:
        """What was kept is no longer the past, as after a restore."""
        self._history.clear()
        self._reported.clear()
        self._batch.warning[:] = 0

    def report(self, world: int, reason: str) -> None:
        """A world that MuJoCo gave up in the step under way."""
        self._reported[world] = reason

    def collect(self, sound: Tensor, commands: Tensor) -> bool:
        """Find, count and dump the worlds that failed in the step just made; whether there are any (see `failed`).

        `sound` [N] bool: the worlds whose values are sane, without warnings; `commands` [N, nu] or [N, substeps, nu]
        are those of the step. Warnings count from here, and end once the world is reset.
        """
        good = sound.numpy()
        if good.all() and not self._reported and not self._some_failed:
            return False
        bad: NDArray[np.bool_] = ~good
        if self._reported:
            bad[list(self._reported)] = True
        ids = np.flatnonzero(bad)
        self._failed, self._some_failed = torch.from_numpy(bad), len(ids) > 0
        for world in ids:
            self.count += 1
            if self.folder is not None and self.count <= MOST_DUMPS:
                self._dump(self.folder, int(world), commands[world].numpy())
        self._reported.clear()
        return self._some_failed

    def _reason(self, world: int) -> str:
        counts = self._batch.warning[world, :, 1]
        reasons = [text for warning, text in _WARNINGS.items() if counts[int(warning)]]
        if world in self._reported:
            reasons.insert(0, self._reported[world])
        return "; ".join(reasons) or "a sensor or speed is not finite or beyond its bound"

    def _dump(self, folder: Path, world: int, command: Array) -> None:
        model = self._batch.get_model(world)
        size = mujoco.mj_sizeModel(model)
        binary = np.empty(size, dtype=np.uint8)
        mujoco.mj_saveModel(model, None, binary)
        states = np.stack([state[world] for state in self._history] or [self._batch.state[world]])
        commands, reason = np.broadcast_to(command, (self._substeps, model.nu)), self._reason(world)
        path = folder / f"failed-{self.count}-world-{world}.npz"
        part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez_compressed(file, model=binary, states=states, commands=commands, reason=np.array(reason))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            # A full disk must not end a training that goes on without this file.
            self.folder = None
            if part.exists():
                part.unlink()
            warnings.warn(f"no more failed worlds are written: {path}: {error}", stacklevel=2)


@dataclass(frozen=True, eq=False)
class Dump:
    """A failed world: its own model, states [H, S] (mjSTATE_INTEGRATION) before its last H steps, oldest first, and the
    commands [substeps, nu] of the last one."""

    model: mujoco.MjModel
    states: Array
    commands: Array
    reason: str

    def replay(self) -> mujoco.MjData:
        """The world after the step it failed in."""
        data = mujoco.MjData(self.model)
        mujoco.mj_setState(self.model, data, self.states[-1], mujoco.mjtState.mjSTATE_INTEGRATION)
        for command in self.commands:
            data.ctrl[:] = command
            mujoco.mj_step(self.model, data)
        return data


def read_dump(path: Path) -> Dump:
    """A file that `Quarantine` wrote."""
    with np.load(path) as saved:
        name = "world.mjb"
        model = mujoco.MjModel.from_binary_path(name, {name: saved["model"].tobytes()})
        return Dump(model, saved["states"], saved["commands"], str(saved["reason"]))
