"""MuJoCo on the CPU: N worlds of one model, stepped together on all cores by `mujoco.batch.Batch`.

What a step costs is MuJoCo's own work: one call advances every world by all substeps, and one kernel converts the
sensors to float32. Joint angles and speeds and the base's orientation, rates, position and velocity are current at the
new state: they are read off the state itself (see `StateSensors`), which avoids the forward stages (`mjSTAGE_VEL`) that
MuJoCo would need to bring all of its sensors up to date, a sixth of the time. The others (accelerometer, torques,
contacts, feet) describe the last substep.

A world that MuJoCo reports as failed, or that is no longer finite, is quarantined: put back to the model's default
state alone, counted, and its last states written for inspection if a folder is given; the others are not affected.
MuJoCo's own automatic reset stays on: it keeps non-finite values away from collision detection.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mujoco
import torch
from mujoco.batch import Batch, SimulationError
from torch import Tensor

from policies.errors import UserError
from sim.physics.columns import SensorColumns
from sim.physics.masks import chosen
from sim.physics.mujoco import kernels
from sim.physics.mujoco.fields import BatchFields
from sim.physics.mujoco.quarantine import Quarantine
from sim.physics.mujoco.rays import StaticRays
from sim.physics.mujoco.silence import silence
from sim.physics.mujoco.state_sensors import StateSensors, column_of
from sim.physics.passes import StructPass


class MujocoPhysics:
    """N worlds of `model`, `substeps` of `model.opt.timestep` a step, on `threads` threads (0: every core); see
    `JointedPhysics`.

    All tensors are views of the batch's own memory. `dump` is a folder for the last states of failed worlds; none are
    written without it. Raises UserError for zero worlds, substeps below 1 or negative threads.
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
        self.batch = batch = Batch(model, nsim=num_worlds, nthread=threads)
        self.fields = BatchFields(batch)
        self.columns = SensorColumns(model)
        self.group = self.columns.group
        self.qpos, self.qvel = torch.from_numpy(batch.bind("qpos")), torch.from_numpy(batch.bind("qvel"))
        base = int(model.jnt_bodyid[0]) if model.njnt else 1
        self.wrench = torch.from_numpy(batch.bind("xfrc_applied"))[:, base]
        self._state, self._warning = torch.from_numpy(batch.state), torch.from_numpy(batch.warning)
        self._control, self._data = torch.from_numpy(batch.bind("ctrl")), batch.bind("sensordata")
        places = {"position": "qpos", "velocity": "qvel", "control": "ctrl"}
        constant = {
            **{name: column_of(batch, field) for name, field in places.items()},
            "nominal": self._state[0].clone(), "state": self._state, "warnings": self._warning.flatten(1),
        }  # fmt: skip
        self._start = StructPass(kernels.start_worlds, kernels.Starts, num_worlds, self.device, constant)
        self._schedule = torch.zeros(num_worlds, substeps, model.nu, dtype=torch.float64)
        self._scheduled = self._schedule.numpy()
        self._state_sensors = StateSensors(batch)
        self._stage = 0 if self._state_sensors.complete else int(mujoco.mjtStage.mjSTAGE_VEL)
        self._rays: StaticRays | None = None
        self.quarantine = Quarantine(batch, substeps, dump)
        self.values: Tensor = torch.empty(num_worlds, model.nsensordata)
        self.refresh(torch.ones(num_worlds, dtype=torch.bool))

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
    def failed(self) -> Tensor:
        """Worlds [N] bool that the last step put into quarantine."""
        return self.quarantine.failed

    @property
    def failures(self) -> int:
        """How often a world has been put into quarantine."""
        return self.quarantine.count

    def keep_failures(self, folder: Path) -> None:
        """Write the last states of failed worlds into `folder` (see `sim.physics.mujoco.quarantine.read_dump`)."""
        self.quarantine.folder = folder

    def step(self, command: Tensor) -> None:
        """Advance by all substeps under commands [N, nu] held, or [N, substeps, nu] with one for each substep."""
        held = command.dim() == 2
        wanted = self._control.shape if held else self._schedule.shape
        if command.shape != wanted:
            raise ValueError(f"command must be {list(wanted)}, got {list(command.shape)}")
        self.quarantine.remember()
        try:
            if held:
                self._control.copy_(command.detach())
                self.batch.step(nstep=self.substeps, stage=self._stage)
            else:
                self._schedule.copy_(command.detach())
                self.batch.rollout(self.substeps, self._scheduled, record=())
                if self._stage:
                    self.batch.forward(stage=self._stage)
        except SimulationError as error:
            # Those worlds kept the state from before the call and the others ran to the end.
            for world in error.ids:
                self.quarantine.report(int(world), self.batch.error(int(world)))
        self.values, sound = self._state_sensors.read()
        if self.quarantine.collect(sound, command):
            self._put_back()

    def _put_back(self) -> None:
        """Reset the worlds that have just failed."""
        failed = self.quarantine.failed
        self._reset(failed)
        broken = failed & ~torch.isfinite(self.values).all(1)
        if broken.any():
            # The state is good again, so the values written into the model are not.
            self.fields.reset(broken)
            self._reset(broken)

    def _reset(self, worlds: Tensor) -> None:
        self.batch.reset(chosen(worlds).numpy(), stage=0)
        self.refresh(worlds)

    def write(self, worlds: Tensor, qpos: Tensor, qvel: Tensor, command: Tensor | None = None) -> None:
        """Start the masked `worlds` [N] from positions [N, nq] and velocities [N, nv]: time 0, no warm start, no
        wrench, under `command` [N, nu], with sensors up to date."""
        ids = chosen(worlds)
        command = torch.zeros(self.num_worlds, self.model.nu) if command is None else command
        given = {"worlds": worlds, "qpos": qpos.double(), "qvel": qvel.double(), "command": command.double()}
        # What `Batch.reset` would do, at a fiftieth of its cost for a few worlds.
        self._start(given)
        self._refresh(ids)

    def refresh(self, worlds: Tensor) -> None:
        """Bring the sensors of the masked `worlds` [N] up to what was written into live tensors."""
        self._refresh(chosen(worlds))

    def _refresh(self, ids: Tensor) -> None:
        self.batch.forward(ids.numpy())
        fresh = torch.from_numpy(self._data[ids.numpy()]).float()
        self.values = self.values.index_copy(0, ids, fresh)

    def ray(self, points: Tensor, directions: Tensor) -> Tensor:
        """Distances [...] float32 in m along rays to the static world, -1 where they hit nothing.

        `points` (m) and unit `directions` broadcast to [..., 3], in the world frame. The static world is the same in
        all worlds, and a robot is never in the way.
        """
        if self._rays is None:
            self._rays = StaticRays(self.model, int(self.batch.nthread))
        return self._rays.cast(points, directions)

    def snapshot(self) -> dict[str, Tensor]:
        """Copies of everything that decides the future: whole states with their warm starts, models, counters."""
        return {
            **{f"field.{field}": values for field, values in self.fields.snapshot().items()},
            "state": self._state.clone(),
            "values": self.values.clone(),
            "failed": self.failed.clone(),
            "failures": torch.tensor(self.failures),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        """Continue from a snapshot of as many worlds of the same model, bit for bit."""
        state = snapshot["state"]
        if state.shape != self._state.shape:
            raise UserError(
                f"the snapshot is of {state.shape[0]} worlds with states of {state.shape[1]} numbers, this physics has "
                f"{self.num_worlds} with {self.batch.nstate}: it needs the same model and number of worlds"
            )
        prefix = "field."
        self.fields.restore({k.removeprefix(prefix): v for k, v in snapshot.items() if k.startswith(prefix)})
        self._state.copy_(state)
        self.values = snapshot["values"].clone()
        self.quarantine.failed = snapshot["failed"].clone()
        self.quarantine.count = int(snapshot["failures"])
        self.quarantine.forget()

    def close(self) -> None:
        """Nothing to free: the batch goes with its last reference."""
