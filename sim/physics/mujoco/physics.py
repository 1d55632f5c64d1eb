"""MuJoCo on the CPU: N worlds of one model, stepped together on all cores by `mujoco.batch.Batch`.

What a step costs is MuJoCo's own work: one call advances every world by all substeps, and one kernel brings the
sensors to float32. Joint angles and speeds and the base's orientation, rates, position and velocity are current at the
new state: they are read off the state itself (see `StateSensors`), which spares the forward stages (`mjSTAGE_VEL`) that
MuJoCo would need to bring all of its sensors up to date, a sixth of the time. The others (accelerometer, torques,
contacts, feet) describe the last substep.

A world that MuJoCo reports as failed, or that is no longer finite, is quarantined: put back to the model's default
state alone, counted, and its last states written for inspection if a folder is given; the others go on untouched.
MuJoCo's own automatic reset stays on: it keeps what is not finite away from collision detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import torch
from mujoco.batch import MODEL_FIELDS, Batch, SimulationError
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from policies.errors import UserError
from sim.physics.mujoco import kernels
from sim.physics.mujoco.passes import Pass
from sim.physics.mujoco.quarantine import Quarantine
from sim.physics.mujoco.rays import StaticRays
from sim.physics.mujoco.silence import silence
from sim.physics.mujoco.state_sensors import StateSensors
from sim.physics.rows import with_rows

Array = NDArray[np.float64]
Ids = Tensor | NDArray[np.integer[Any]]


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
        self.model = model
        self.substeps = substeps
        self.batch = Batch(model, nsim=num_worlds, nthread=threads)
        self._data: Array = self.batch.bind("sensordata")
        self._state_sensors = StateSensors(self.batch)
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
        self._default = self.batch.state[0].copy()
        self._previous = np.zeros_like(self._control)
        self._schedule = np.zeros((num_worlds, substeps, model.nu))
        late = torch.zeros(num_worlds, dtype=torch.int64)
        self._plan = Pass(
            kernels.schedule_commands,
            num_worlds,
            [torch.from_numpy(self._schedule), torch.from_numpy(self._previous)],
            [torch.zeros(num_worlds, model.nu), late],
        )
        self._rays: StaticRays | None = None
        self.quarantine = Quarantine(self.batch, dump)
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
        """Force (N) and torque (Nm) on the base at its centre of mass [N, 6], world axes: live, kept until changed."""
        return self._force[:, self._base]

    @property
    def failed(self) -> Tensor:
        """Worlds [N] that the last step put into quarantine."""
        return self.quarantine.failed

    @property
    def failures(self) -> int:
        """How often a world has been put into quarantine."""
        return self.quarantine.count

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
        command = command.detach()
        fresh = command.numpy()
        if fresh.shape != self._control.shape:
            raise ValueError(f"command must be {list(self._control.shape)}, got {list(fresh.shape)}")
        self.quarantine.remember()
        try:
            if delay is None or not bool((delay > 0).any()):
                schedule = np.broadcast_to(fresh[:, None], self._schedule.shape)
                self._control[:] = fresh
                self._previous[:] = fresh
                self.batch.step(nstep=self.substeps, stage=self._stage)
            else:
                schedule = self._delayed(command, delay)
                self.batch.rollout(self.substeps, schedule, record=())
                if self._stage:
                    self.batch.forward(stage=self._stage)
        except SimulationError as error:
            # Those worlds kept the state from before the call and the others ran to the end.
            for world in error.ids:
                self.quarantine.report(int(world), self.batch.error(int(world)))
        self.values, sound = self._state_sensors.read()
        self._inspect(sound, schedule)

    def _delayed(self, fresh: Tensor, delay: Tensor) -> Array:
        """The commands [N, substeps, nu] of every substep; the last ones are kept for the next step."""
        if delay.shape != (self.num_worlds,):
            raise ValueError(f"delay must be [{self.num_worlds}], got {list(delay.shape)}")
        self._plan(fresh, delay)
        return self._schedule

    def _inspect(self, sound: Tensor, commands: Array) -> None:
        ids = self.quarantine.collect(sound.numpy(), commands)
        if not len(ids):
            return
        self.batch.reset(ids, stage=0)
        self._previous[ids] = 0.0
        self.refresh(ids)
        broken = ids[~torch.isfinite(self.values[ids]).all(1).numpy()]
        if len(broken):
            # Then it is not the state but what was written into the model.
            for field in self._expanded():
                self.batch.expand(field)[broken] = self._own(field)
            self.batch.reset(broken, stage=0)
            self.refresh(broken)

    def write(self, ids: Ids, qpos: Array, qvel: Array) -> None:
        """Set positions [K, nq] and velocities [K, nv] of the worlds `ids` [K], at rest otherwise: time 0, no warm
        start, no wrench, no command on its way. Call `refresh` when all is written."""
        rows = np.asarray(ids)
        # What `Batch.reset` would do, at a fiftieth of its cost for a few worlds.
        self.batch.state[rows] = self._default
        self.batch.warning[rows] = 0
        self.qpos[rows] = qpos
        self.qvel[rows] = qvel

    def refresh(self, ids: Ids, command: Array | None = None) -> None:
        """Bring the sensors of the worlds `ids` [K] up to what was written; `command` [K, nu] is what acts on them."""
        rows = np.sort(np.asarray(ids))
        if command is not None:
            self._control[np.asarray(ids)] = command
            self._previous[np.asarray(ids)] = command
        self.batch.forward(rows)
        fresh = self._data[rows].astype(np.float32)
        if len(rows) == self.num_worlds:
            self.values = torch.from_numpy(fresh)
        else:
            self.values = with_rows(self.values, rows, fresh)

    def nominal(self, field: str) -> Array:
        """The model's own values of a field, whatever randomization has written since; do not write them."""
        if field not in self._nominal:
            _check_field(field)
            values: Array = np.array(self._own(field), copy=True)
            values.flags.writeable = False
            self._nominal[field] = values
        return self._nominal[field]

    def expand(self, field: str) -> Array:
        """Per-world values [N, ...] of a model field: live, to be written; `set_const` after those it reads."""
        self.nominal(field)
        values: Array = self.batch.expand(field)
        return values

    def set_const(self, ids: Ids | None = None) -> None:
        """Let the constants that follow from masses, frames and default poses follow what was written.

        It costs about as much per world as a few substeps: name the worlds `ids` [K] that were written.
        """
        self.batch.set_const(None if ids is None else np.sort(np.asarray(ids)))

    def ray(self, points: ArrayLike, directions: ArrayLike, ids: Ids | None = None) -> Tensor:
        """Distances [K, R] float32 in m along rays to the static world, -1 where they hit nothing.

        `points` (m) and unit `directions` broadcast to [K, R, 3], in the world frame; K is the number of `ids`, or of
        worlds without. The static world is one for all, so rays of some worlds cost no more than those alone.
        """
        if self._rays is None:
            self._rays = StaticRays(self.model, int(self.batch.nthread))
        start, along = np.asarray(points, dtype=np.float64), np.asarray(directions, dtype=np.float64)
        rays = np.broadcast_shapes((1, 3), start.shape, along.shape)[-2]
        shape = (self.num_worlds if ids is None else len(ids), rays, 3)
        return self._rays.cast(np.broadcast_to(start, shape), np.broadcast_to(along, shape))

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the future: whole states with their warm starts, models, counters."""
        saved = {f"field.{field}": torch.from_numpy(np.array(self.batch.expanded(field))) for field in self._expanded()}
        saved["state"] = torch.from_numpy(self.batch.state.copy())
        saved["previous"] = torch.from_numpy(self._previous.copy())
        saved["values"] = self.values.clone()
        saved["failed"] = self.failed.clone()
        saved["failures"] = torch.tensor(self.failures)
        return saved

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot of as many worlds of the same model, bit for bit."""
        state = snapshot["state"].numpy()
        if state.shape != self.batch.state.shape:
            raise UserError(
                f"the snapshot is of {state.shape[0]} worlds with states of {state.shape[1]} numbers, this physics has "
                f"{self.num_worlds} with {self.batch.nstate}: it needs the same model and number of worlds"
            )
        fields = {name.removeprefix("field.") for name in snapshot if name.startswith("field.")}
        for field in fields | set(self._expanded()):
            saved = snapshot.get(f"field.{field}")
            self.batch.expand(field)[:] = self._own(field) if saved is None else saved.numpy()
        self.batch.state[:] = state
        self._previous[:] = snapshot["previous"].numpy()
        self.values = snapshot["values"].clone()
        self.quarantine.failed = snapshot["failed"].clone()
        self.quarantine.count = int(snapshot["failures"])
        self.quarantine.forget()

    def _expanded(self) -> list[str]:
        """Fields that differ between worlds, those that `set_const` derives included."""
        return [field for field in _FIELDS if self.batch.expanded(field) is not None]

    def _own(self, field: str) -> Array:
        holder = self.model.opt if field.startswith("opt.") else self.model
        values: Array = np.asarray(getattr(holder, field.removeprefix("opt.")))
        return values


def _check_field(field: str) -> None:
    if field not in MODEL_FIELDS:
        near = get_close_matches(field, MODEL_FIELDS, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UserError(f"a MuJoCo model has no field {field!r}{hint}")


_FIELDS = tuple(sorted(MODEL_FIELDS))
