"""MuJoCo on the CPU: N worlds of one model, stepped together on all cores by `mujoco.batch.Batch`.

What a step costs is MuJoCo's own work: one call advances every world by all substeps, and one conversion brings the
sensors to float32. Joint angles and speeds and the base's orientation, rates, position and velocity are current at the
new state: they are read off the state itself (see `StateSensors`), which spares the forward stages (`mjSTAGE_VEL`) that
MuJoCo would need to bring all of its sensors up to date, a sixth of the time. The others (accelerometer, torques,
contacts, feet) describe the last substep.

A world that MuJoCo reports as failed, or that is no longer finite, is quarantined: put back to the model's default
state alone, counted, and its last finite state kept for inspection; the others go on untouched.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from mujoco.batch import Batch, SimulationError
from numpy.typing import NDArray
from torch import Tensor

from policies.errors import UserError
from sim.physics.mujoco.quarantine import Quarantine
from sim.physics.mujoco.silence import silence
from sim.physics.mujoco.state_sensors import StateSensors

Array = NDArray[np.float64]
Ids = Tensor | NDArray[np.integer[Any]]
SPEED_LIMIT = 1000.0
"""Generalised speed (m/s or rad/s) beyond which a world has exploded, though it may still be finite."""


class MujocoPhysics:
    """N worlds of `model`, `substeps` of `model.opt.timestep` a step, on `threads` threads (0: every core).

    `dump` is a folder for the last states of failed worlds; none are written without it. Raises UserError for zero
    worlds, substeps below 1 or negative threads.
    """

    def __init__(
        self, model: mujoco.MjModel, num_worlds: int, *, substeps: int = 4, threads: int = 0, dump: Path | None = None
    ) -> None:
        if num_worlds < 1:
            raise UserError(f"num_worlds must be at least 1, got {num_worlds}")
        if substeps < 1:
            raise UserError(f"substeps must be at least 1, got {substeps}")
        if threads < 0:
            raise UserError(f"threads must be 0 (every core) or more, got {threads}")
        silence()
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self.model = model
        self.substeps = substeps
        self.batch = Batch(model, nsim=num_worlds, nthread=threads)
        self._data: Array = self.batch.bind("sensordata")
        self._current = np.empty_like(self._data)
        self._state_sensors = StateSensors(model)
        self._stage = 0 if self._state_sensors.complete else int(mujoco.mjtStage.mjSTAGE_VEL)
        self.qpos: Array = self.batch.bind("qpos")
        self.qvel: Array = self.batch.bind("qvel")
        self._control: Array = self.batch.bind("ctrl")
        self._force: Array = self.batch.bind("xfrc_applied")
        self._columns = {
            model.sensor(i).name: slice(model.sensor_adr[i], model.sensor_adr[i] + model.sensor_dim[i])
            for i in range(model.nsensor)
        }
        self._base = int(model.jnt_bodyid[0]) if model.njnt else 1
        self._nominal: dict[str, Array] = {}
        self._previous = np.zeros_like(self._control)
        self.quarantine = Quarantine(model, num_worlds, dump)
        self.values: Tensor = torch.empty(0)
        self.refresh(np.arange(num_worlds))

    @property
    def num_worlds(self) -> int:
        return int(self.batch.nsim)

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def dt(self) -> float:
        """Length of one substep, s."""
        return float(self.model.opt.timestep)

    @property
    def wrench(self) -> Array:
        """Force (N) and torque (Nm) on the base in world axes at its centre of mass [N, 6]: live, kept until changed."""
        return self._force[:, self._base]

    @property
    def failed(self) -> Tensor:
        """Worlds [N] that the last step put into quarantine."""
        return self.quarantine.failed

    def columns(self, name: str) -> slice:
        """Where a sensor of the model stands in `values`."""
        try:
            return self._columns[name]
        except KeyError:
            near = get_close_matches(name, self._columns, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; it has {', '.join(self._columns)}"
            raise UserError(f"the model has no sensor {name!r}{hint}") from None

    def group(self, names: list[str]) -> slice:
        """Where sensors that follow each other stand, as one slice."""
        parts = [self.columns(name) for name in names]
        for a, b in zip(parts, parts[1:], strict=False):
            if a.stop != b.start:
                raise ValueError(f"sensors {names} do not follow each other in the model")
        return slice(parts[0].start, parts[-1].stop)

    def step(self, command: Tensor, delay: Tensor | None = None) -> None:
        """Hold actuator commands [N, nu] for all substeps; a world with a delay of d substeps [N] holds the previous
        command for the first d of them."""
        fresh = command.numpy()
        held = 0 if delay is None else min(int(delay.max()), self.substeps)
        for k in range(held):
            waits = (delay > k).numpy() if delay is not None else False
            self._control[:] = np.where(np.reshape(waits, (-1, 1)), self._previous, fresh)
            self._advance(1, self._stage if k + 1 == self.substeps else 0)
        if held < self.substeps:
            self._control[:] = fresh
            self._advance(self.substeps - held, self._stage)
        self._previous[:] = fresh
        np.copyto(self._current, self._data)
        self._state_sensors.write(self._current, self.qpos, self.qvel)
        self.values = torch.from_numpy(self._current).to(torch.float32)
        self._inspect()

    def _advance(self, count: int, stage: int) -> None:
        try:
            self.batch.step(nstep=count, stage=stage)
        except SimulationError as error:
            # Those worlds kept the state from before the call and the others ran to the end.
            self.quarantine.report(error.ids, self.batch.error(int(error.ids[0])))

    def _inspect(self) -> None:
        # The highest speed and, should anything not be finite, nan or infinity: comparisons with those are false.
        finite = (self.values.sum(1).abs() < _ENORMOUS).numpy() & (np.abs(self.qvel).max(1) < SPEED_LIMIT)
        ids = self.quarantine.collect(finite, self.qpos, self.qvel, self._control)
        if len(ids):
            self.batch.reset(ids, stage=0)
            self.refresh(ids)

    def write(self, ids: Ids, qpos: Array, qvel: Array) -> None:
        """Set positions [K, nq] and velocities [K, nv] of the worlds `ids` [K], at rest otherwise: time 0, no warm
        start, no wrench, no command on its way. Call `refresh` when all is written."""
        rows = np.asarray(ids)
        self.batch.reset(rows, stage=0)
        self.qpos[rows] = qpos
        self.qvel[rows] = qvel

    def refresh(self, ids: Ids, command: Array | None = None) -> None:
        """Bring the sensors of the worlds `ids` [K] up to what was written; `command` [K, nu] is what acts on them."""
        rows = np.sort(np.asarray(ids))
        if command is not None:
            self._control[np.asarray(ids)] = command
            self._previous[np.asarray(ids)] = command
        self.batch.forward(rows)
        fresh = torch.from_numpy(self._data[rows]).to(torch.float32)
        if len(rows) == self.num_worlds:
            self.values = fresh
            return
        # What a step has returned stays as it was.
        self.values = self.values.index_copy(0, torch.from_numpy(rows), fresh)

    def nominal(self, field: str) -> Array:
        """The model's own values of a field, whatever randomization has written since."""
        if field not in self._nominal:
            self._nominal[field] = np.array(getattr(self.model, field), dtype=np.float64, copy=True)
        return self._nominal[field]

    def expand(self, field: str) -> Array:
        """Per-world values [N, ...] of a model field: live, to be written; `set_const` after those it reads."""
        self.nominal(field)
        values: Array = self.batch.expand(field)
        return values

    def set_const(self, ids: Ids | None = None) -> None:
        """Let the constants that follow from masses, frames and default poses follow what was written."""
        self.batch.set_const(None if ids is None else np.sort(np.asarray(ids)))

    def ray(self, points: Array, directions: Array, ids: NDArray[np.integer[Any]] | None = None) -> Tensor:
        """Distances [K, R] float32 in m along rays to the static world, -1 where they hit nothing.

        `points` and `directions` broadcast to [K, R, 3], in the world frame; `ids` [K] names the worlds, all without.
        """
        distance, _ = self.batch.ray(points, directions, bodyexclude=-1, geomgroup=_STATIC_GROUP, ids=ids)
        return torch.from_numpy(distance).to(torch.float32)

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the future."""
        saved = {f"state.{name}": torch.from_numpy(self.batch.bind(name).copy()) for name in _STATE}
        saved["previous"] = torch.from_numpy(self._previous.copy())
        saved["values"] = self.values.clone()
        saved["failures"] = torch.tensor(self.quarantine.count)
        for field in self._nominal:
            values = self.batch.expanded(field)
            if values is not None:
                saved[f"field.{field}"] = torch.from_numpy(np.array(values))
        return saved

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot, bit for bit."""
        fields = [name.removeprefix("field.") for name in snapshot if name.startswith("field.")]
        for field in fields:
            self.expand(field)[:] = snapshot[f"field.{field}"].numpy()
        if any(field in mujoco.MjModel._setconst_inputs for field in fields):
            self.set_const()
        for name in _STATE:
            self.batch.bind(name)[:] = snapshot[f"state.{name}"].numpy()
        self._previous[:] = snapshot["previous"].numpy()
        self.values = snapshot["values"].clone()
        self.quarantine.count = int(snapshot["failures"])


_ENORMOUS = 1e9
_STATE = ("time", "qpos", "qvel", "act", "qacc_warmstart", "ctrl", "qfrc_applied", "xfrc_applied")
_STATIC_GROUP = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)
