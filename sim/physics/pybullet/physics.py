"""N Bullet worlds behind the interface of the MuJoCo backend: a second opinion on the same model.

State and sensors are in MuJoCo's coordinates and named as in the model; a sensor is what MuJoCo's own definition gives
at Bullet's state, but for contacts, which are Bullet's. Motors are closed at every step of Bullet. docs/sim2sim.md
tells what is modelled otherwise.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.errors import UserError
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
    """N worlds of `model`; a step is `substeps` of `model.opt.timestep`, each as many of Bullet as `STEP` asks for.

    `qpos` [N, nq] and `qvel` [N, nv] are the state; what is written into them between steps is taken over. `wrench`
    [N, 6] is the force in N and torque in Nm on the base in the world's axes. The per-world model fields of the MuJoCo
    backend, rays and snapshots are not there. Raises UserError for what Bullet has not, ModuleNotFoundError without
    pybullet.
    """

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
        self._columns = {
            model.sensor(i).name: slice(model.sensor_adr[i], model.sensor_adr[i] + model.sensor_dim[i])
            for i in range(model.nsensor)
        }
        self.qpos: Array = np.tile(model.qpos0, (num_worlds, 1))
        self.qvel: Array = np.zeros((num_worlds, model.nv))
        self.wrench: Array = np.zeros((num_worlds, 6))
        self._known = np.concatenate((self.qpos, self.qvel), 1)
        self._previous: Array = np.zeros((num_worlds, model.nu))
        self._torque: Array = np.zeros((num_worlds, model.nu))
        self._acceleration: Array = np.zeros((num_worlds, model.nv))
        self._sensed: Array = np.zeros((num_worlds, model.nsensordata))
        self.failed = torch.zeros(num_worlds, dtype=torch.bool)
        self.values: Tensor = torch.empty(0)
        self.refresh(np.arange(num_worlds))

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

    def columns(self, name: str) -> slice:
        """Where a sensor of the model stands in `values`."""
        if name not in self._columns:
            raise UserError(f"the model has no sensor {name!r}; it has {', '.join(self._columns)}")
        return self._columns[name]

    def group(self, names: list[str]) -> slice:
        """Where sensors that follow each other stand, as one slice."""
        parts = [self.columns(name) for name in names]
        if any(a.stop != b.start for a, b in zip(parts, parts[1:], strict=False)):
            raise ValueError(f"sensors {names} do not follow each other in the model")
        return slice(parts[0].start, parts[-1].stop)

    def write(self, ids: Tensor | NDArray[Any], qpos: Array, qvel: Array) -> None:
        """Set positions [K, nq] and velocities [K, nv] of the worlds `ids` [K]. Call `refresh` when all is written."""
        rows = np.asarray(ids)
        self.qpos[rows], self.qvel[rows] = qpos, qvel
        self.wrench[rows] = 0.0
        self._previous[rows] = 0.0
        for row in rows:
            self._put(int(row))
            self._rotors[row].restart()

    def refresh(self, ids: Tensor | NDArray[Any], command: Array | None = None) -> None:
        """Bring the sensors of the worlds `ids` [K] up to what was written; `command` [K, nu] is what acts on them.

        Accelerations and contacts are nought until the next step.
        """
        rows = np.asarray(ids)
        if command is not None:
            self._previous[rows] = command
        for row in rows:
            self._torque[row] = self._motors.actuator_force(self._previous[row], self.qpos[row], self.qvel[row])
            self._acceleration[row] = 0.0
            self._sense(int(row), touching=False)
        self.values = torch.from_numpy(self._sensed).to(torch.float32)

    def step(self, command: Tensor, delay: Tensor | None = None) -> None:
        """Hold actuator commands [N, nu] for all substeps; a world with a delay of d substeps [N] holds the previous
        command for the first d of them."""
        fresh = command.numpy().astype(np.float64)
        if fresh.shape != self._previous.shape:
            raise ValueError(f"command has shape {fresh.shape}, expected {self._previous.shape}")
        changed = (np.concatenate((self.qpos, self.qvel), 1) != self._known).any(1)
        for row in range(self.num_worlds):
            if changed[row]:
                self._put(row)
                self._rotors[row].restart()
            late = 0 if delay is None else int(delay[row])
            for k in range(self.substeps):
                self._advance(row, self._previous[row] if k < late else fresh[row])
            self._sense(row, touching=True)
        self._previous[:] = fresh
        self._known = np.concatenate((self.qpos, self.qvel), 1)
        self._quarantine()
        self.values = torch.from_numpy(self._sensed).to(torch.float32)

    def _advance(self, row: int, command: Array) -> None:
        """One of the model's steps of one world."""
        world, rotors = self._worlds[row], self._rotors[row]
        qpos, qvel = self.qpos[row], self.qvel[row]
        for _ in range(self._inner):
            torque = self._motors.actuator_force(command, qpos, qvel)
            force = self._motors.joint_force(torque, qpos, qvel)
            before = qvel.copy()
            world.step(rotors.correct(qpos, qvel, force), self.wrench[row])
            world.read(qpos, qvel)
            self._torque[row] = torque
            self._acceleration[row] = (qvel - before) / self._step

    def _put(self, row: int) -> None:
        self._worlds[row].write(self.qpos[row], self.qvel[row])
        self._known[row] = np.concatenate((self.qpos[row], self.qvel[row]))

    def _sense(self, row: int, touching: bool) -> None:
        """MuJoCo's sensors at Bullet's state."""
        model, data = self.model, self._data
        data.qpos[:], data.qvel[:] = self.qpos[row], self.qvel[row]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_sensorPos(model, data)
        mujoco.mj_comVel(model, data)
        mujoco.mj_sensorVel(model, data)
        data.qacc[:], data.actuator_force[:] = self._acceleration[row], self._torque[row]
        mujoco.mj_sensorAcc(model, data)
        values = data.sensordata.copy()
        for sensor, geom in self._watched.items():
            count = self._worlds[row].contacts(geom)[0] if touching else 0
            values[model.sensor_adr[sensor]] = count
        self._sensed[row] = values

    def _quarantine(self) -> None:
        """Put worlds back to the default state that are no longer finite or faster than anything real."""
        fast = np.abs(self.qvel).max(1, initial=0.0)
        good = np.isfinite(self.qpos).all(1) & np.isfinite(self._sensed).all(1) & (fast < SPEED_LIMIT)
        self.failed = torch.from_numpy(~good)
        ids = np.flatnonzero(~good)
        if len(ids):
            self.write(ids, np.tile(self.model.qpos0, (len(ids), 1)), np.zeros((len(ids), self.model.nv)))
            self.refresh(ids)
