"""A physics backend of one's own: MuJoCo stepped one world after the other, which is slow and easy to read.

The protocol is `JointedPhysics` (sim/physics/protocol.py): torch tensors with a row for each world, worlds chosen by
masks. A backend on a GPU keeps the same tensors on its device.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
import torch
from torch import Tensor

from policies.errors import UserError
from sim.physics.columns import SensorColumns
from sim.physics.mujoco.model import build_model
from sim.physics.world import WorldSpec

STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class SerialPhysics:
    """N worlds of `model`, `substeps` of its timestep a step."""

    fields = None
    """All worlds are alike: there are no per-world model parameters."""

    def __init__(self, model: mujoco.MjModel, num_worlds: int, substeps: int) -> None:
        self.model, self.num_worlds, self.substeps = model, num_worlds, substeps
        self.device, self.dt = "cpu", float(model.opt.timestep)
        self.columns = SensorColumns(model)
        self.group = self.columns.group
        self._worlds = [mujoco.MjData(model) for _ in range(num_worlds)]
        # Live tensors: one array for all worlds, copied in before a step and out after it.
        self.qpos, self.qvel = torch.zeros(num_worlds, model.nq).double(), torch.zeros(num_worlds, model.nv).double()
        self.wrench = torch.zeros(num_worlds, 6).double()
        self.values = torch.zeros(num_worlds, model.nsensordata)
        self.failed = torch.zeros(num_worlds, dtype=torch.bool)
        self.failures = 0
        self.qpos[:] = torch.from_numpy(model.qpos0)
        self.refresh(torch.ones(num_worlds, dtype=torch.bool))

    def step(self, command: Tensor) -> None:
        schedule = command.detach().numpy()
        if command.dim() == 2:
            schedule = np.repeat(schedule[:, None], self.substeps, 1)
        self.failed = torch.zeros_like(self.failed)
        for row, data in enumerate(self._worlds):
            self._put(row)
            for control in schedule[row]:
                data.ctrl[:] = control
                mujoco.mj_step(self.model, data)
            if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
                mujoco.mj_resetData(self.model, data)
                self.failed[row] = True
                self.failures += 1
        self._take(torch.ones_like(self.failed))

    def write(self, worlds: Tensor, qpos: Tensor, qvel: Tensor, command: Tensor | None = None) -> None:
        self.qpos[worlds], self.qvel[worlds] = qpos[worlds].to(self.qpos), qvel[worlds].to(self.qvel)
        self.wrench[worlds] = 0.0
        for row in worlds.nonzero()[:, 0].tolist():
            mujoco.mj_resetData(self.model, self._worlds[row])
            if command is not None:
                self._worlds[row].ctrl[:] = command[row].numpy()
        self.refresh(worlds)

    def refresh(self, worlds: Tensor) -> None:
        for row in worlds.nonzero()[:, 0].tolist():
            self._put(row)
        self._take(worlds)

    def _put(self, row: int) -> None:
        """Give MuJoCo what was written into the live tensors."""
        data = self._worlds[row]
        data.qpos[:], data.qvel[:] = self.qpos[row].numpy(), self.qvel[row].numpy()
        data.xfrc_applied[self.model.jnt_bodyid[0]] = self.wrench[row].numpy()

    def _take(self, worlds: Tensor) -> None:
        """Bring state and sensors of the masked worlds up to date."""
        self.values = self.values.clone()
        for row in worlds.nonzero()[:, 0].tolist():
            data = self._worlds[row]
            mujoco.mj_forward(self.model, data)
            self.qpos[row], self.qvel[row] = torch.from_numpy(data.qpos), torch.from_numpy(data.qvel)
            self.values[row] = torch.from_numpy(data.sensordata).float()

    def snapshot(self) -> dict[str, Tensor]:
        state = np.zeros((self.num_worlds, mujoco.mj_stateSize(self.model, STATE)))
        for row, data in enumerate(self._worlds):
            mujoco.mj_getState(self.model, data, state[row], STATE)
        return {"state": torch.from_numpy(state), "wrench": self.wrench.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for row, data in enumerate(self._worlds):
            mujoco.mj_setState(self.model, data, snapshot["state"][row].numpy(), STATE)
        self.wrench.copy_(snapshot["wrench"])
        self._take(torch.ones_like(self.failed))

    def keep_failures(self, folder: Path) -> None:
        """Failed worlds are counted, not written."""

    def close(self) -> None:
        """Nothing to free."""


def make(world: WorldSpec, num_worlds: int, device: str) -> SerialPhysics:
    """The line of the table in sim/physics/backends.py is `"serial": make`."""
    if device != "cpu":
        raise UserError(f"the serial backend runs on the CPU, got device {device}; use cpu")
    return SerialPhysics(build_model(world.robot, world.terrain, world.solver), num_worlds, world.substeps)
