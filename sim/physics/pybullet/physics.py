"""N Bullet worlds behind the interface of the MuJoCo backend: a second opinion on the same model.

State and sensors are in MuJoCo's coordinates and named as in the model; a sensor is what MuJoCo's own definition gives
at Bullet's state, except for contacts, which are Bullet's. Motors are closed at every step of Bullet. docs/sim2sim.md
lists what is modelled differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.errors import UserError
from sim.physics.columns import SensorColumns
from sim.physics.masks import chosen
from sim.physics.pybullet.description import watched_geoms
from sim.physics.pybullet.motors import Motors
from sim.physics.pybullet.rotors import Rotors
from sim.physics.pybullet.world import BulletWorld

Array = NDArray[np.float64]
STEP = 0.001
"""Longest step of Bullet in s: what explicit motors of a small robot's stiffness and damping need."""
SPEED_LIMIT = 1000.0
"""Generalised speed (m/s or rad/s) beyond which a world has exploded, though it may still be finite."""


class PybulletPhysics:
    """N worlds of `model`; a step is `substeps` of `model.opt.timestep`, each as many of Bullet as `STEP` asks for; see
    `JointedPhysics`.

    All worlds are equal (`fields` is None). Bullet has hidden state, so there are no snapshots. Raises UserError for
    what Bullet does not support, ModuleNotFoundError without pybullet.
    """

    fields = None

    def __init__(self, model: mujoco.MjModel, num_worlds: int, *, substeps: int = 4) -> None:
        if num_worlds < 1:
            raise UserError(f"num_worlds must be at least 1, got {num_worlds}")
        if substeps < 1:
            raise UserError(f"substeps must be at least 1, got {substeps}")
        self.model = model
        self.substeps = substeps
        self._inner = max(1, round(model.opt.timestep / STEP))
        step = model.opt.timestep / self._inner
        self._worlds = [BulletWorld(model, step) for _ in range(num_worlds)]
        self._rotors = [Rotors(model, step) for _ in range(num_worlds)]
        self._motors = Motors(model, step)
        self._step = step
        self._data = mujoco.MjData(model)
        self._watched = watched_geoms(model)
        self.columns = SensorColumns(model)
        self.group = self.columns.group
        self._qpos: Array = np.tile(model.qpos0, (num_worlds, 1))
        self._qvel: Array = np.zeros((num_worlds, model.nv))
        self._wrench: Array = np.zeros((num_worlds, 6))
        self.qpos, self.qvel = torch.from_numpy(self._qpos), torch.from_numpy(self._qvel)
        self.wrench = torch.from_numpy(self._wrench)
        self._known = np.concatenate((self._qpos, self._qvel), 1)
        self._control: Array = np.zeros((num_worlds, model.nu))
        self._torque: Array = np.zeros((num_worlds, model.nu))
        self._acceleration: Array = np.zeros((num_worlds, model.nv))
        self._sensed: Array = np.zeros((num_worlds, model.nsensordata))
        self.failed = torch.zeros(num_worlds, dtype=torch.bool)
        self.failures = 0
        self.values: Tensor = torch.empty(0)
        self.refresh(torch.ones(num_worlds, dtype=torch.bool))

    @property
    def num_worlds(self) -> int:
        return len(self._worlds)

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def dt(self) -> float:
        """Length of one substep, s."""
        return float(self.model.opt.timestep)

    def close(self) -> None:
        """Free the worlds; they can't be used afterwards."""
        for world in self._worlds:
            world.close()

    def keep_failures(self, folder: Path) -> None:
        """Failed worlds are counted, not written, because Bullet has hidden state."""

    def write(self, worlds: Tensor, qpos: Tensor, qvel: Tensor, command: Tensor | None = None) -> None:
        """Start the masked `worlds` [N] from positions [N, nq] and velocities [N, nv] under `command` [N, nu]."""
        self.qpos[worlds], self.qvel[worlds] = qpos[worlds].to(self.qpos), qvel[worlds].to(self.qvel)
        rows = chosen(worlds).tolist()
        self._wrench[rows] = 0.0
        self._control[rows] = 0.0 if command is None else command[worlds].numpy()
        for row in rows:
            self._put(row)
        self.refresh(worlds)

    def refresh(self, worlds: Tensor) -> None:
        """Bring the sensors of the masked `worlds` [N] up to what was written.

        Accelerations and contacts are 0 until the next step.
        """
        for row in chosen(worlds).tolist():
            self._torque[row] = self._motors.actuator_force(self._control[row], self._qpos[row], self._qvel[row])
            self._acceleration[row] = 0.0
            self._sense(row, touching=False)
        self.values = torch.from_numpy(self._sensed).to(torch.float32)

    def step(self, command: Tensor) -> None:
        """Advance by all substeps under commands [N, nu] held, or [N, substeps, nu] with one for each substep."""
        n, nu = self._control.shape
        wanted = (n, nu) if command.dim() == 2 else (n, self.substeps, nu)
        if command.shape != wanted:
            raise ValueError(f"command must be {list(wanted)}, got {list(command.shape)}")
        rows = (command[:, None] if command.dim() == 2 else command).detach().double()
        schedule: Array = rows.expand(n, self.substeps, nu).numpy()
        changed = (np.concatenate((self._qpos, self._qvel), 1) != self._known).any(1)
        for row in range(self.num_worlds):
            if changed[row]:
                self._put(row)
            for k in range(self.substeps):
                self._advance(row, schedule[row, k])
            self._sense(row, touching=True)
        self._control[:] = schedule[:, -1]
        self._known = np.concatenate((self._qpos, self._qvel), 1)
        self._quarantine()
        self.values = torch.from_numpy(self._sensed).to(torch.float32)

    def snapshot(self) -> dict[str, Tensor]:
        """Raises UserError: there are none."""
        raise UserError("the pybullet backend has no snapshots; use the mujoco backend")

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Raises UserError: there are no snapshots."""
        raise UserError("the pybullet backend has no snapshots; use the mujoco backend")

    def _advance(self, row: int, command: Array) -> None:
        """One of the model's steps of one world."""
        world, rotors = self._worlds[row], self._rotors[row]
        qpos, qvel = self._qpos[row], self._qvel[row]
        for _ in range(self._inner):
            torque = self._motors.actuator_force(command, qpos, qvel)
            force = self._motors.joint_force(torque, qpos, qvel)
            before = qvel.copy()
            world.step(rotors.correct(qpos, qvel, force), self._wrench[row])
            world.read(qpos, qvel)
            self._torque[row] = torque
            self._acceleration[row] = (qvel - before) / self._step

    def _put(self, row: int) -> None:
        self._worlds[row].write(self._qpos[row], self._qvel[row])
        self._rotors[row].restart()
        self._known[row] = np.concatenate((self._qpos[row], self._qvel[row]))

    def _sense(self, row: int, touching: bool) -> None:
        """MuJoCo's sensors at Bullet's state."""
        model, data = self.model, self._data
        data.qpos[:], data.qvel[:] = self._qpos[row], self._qvel[row]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_sensorPos(model, data)
        mujoco.mj_comVel(model, data)
        mujoco.mj_sensorVel(model, data)
        data.qacc[:], data.actuator_force[:] = self._acceleration[row], self._torque[row]
        mujoco.mj_sensorAcc(model, data)
        values = data.sensordata.copy()
        for sensor, geoms in self._watched.items():
            count = sum(self._worlds[row].contacts(geom)[0] for geom in geoms) if touching else 0
            values[model.sensor_adr[sensor]] = count
        self._sensed[row] = values

    def _quarantine(self) -> None:
        """Put worlds that are not finite, or faster than anything real, back to the default state."""
        fast = np.abs(self._qvel).max(1, initial=0.0)
        good = np.isfinite(self._qpos).all(1) & np.isfinite(self._sensed).all(1) & (fast < SPEED_LIMIT)
        self.failed = torch.from_numpy(~good)
        self.failures += int(self.failed.sum())
        if not good.all():
            start = torch.from_numpy(self.model.qpos0).expand(self.num_worlds, -1)
            self.write(self.failed, start, torch.zeros_like(self.qvel))
