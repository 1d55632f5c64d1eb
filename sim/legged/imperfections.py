"""What differs between robots of one kind and from the model: drawn anew at restarts, always from stored nominal
values, so that nothing accumulates."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.legged.settings import ImperfectionSettings
from sim.physics.mujoco.physics import MujocoPhysics
from sim.robots.legged import LeggedRobot
from sim.rows import with_rows

Array = NDArray[np.float64]

BODIES = 0.25
"""Share of the restarts that bring another body: masses cost MuJoCo a pass over the model (`set_const`), motors and
friction nothing."""
PARAMETERS = ("friction", "strength", "base_mass", "delay")
"""What a critic is told of a world, each scaled to about -1..1."""


class Imperfections:
    """The drawn bodies and motors of N worlds.

    `delay` [N] substeps; `joint_offset` [N, joints] rad; `parameters` [N, 4] as `PARAMETERS`. With `scale` 0, or not
    `randomized`, every world stays the model itself.
    """

    def __init__(
        self,
        settings: ImperfectionSettings,
        physics: MujocoPhysics,
        robot: LeggedRobot,
        randomized: bool,
        scale: float,
    ) -> None:
        n, joints = physics.num_worlds, len(robot.joints)
        self._settings = settings
        self._physics = physics
        self._scale = scale
        self.active = randomized and scale > 0.0
        self.delay = torch.zeros(n, dtype=torch.int64)
        self.joint_offset = torch.zeros(n, joints)
        self.parameters = torch.zeros(n, len(PARAMETERS))
        self._has_body = torch.zeros(n, dtype=torch.bool)
        self._longest = round(settings.delay * scale / physics.dt)
        model = physics.model
        self._base = int(model.body(robot.base).id)
        self._dofs = np.array([int(model.jnt_dofadr[model.joint(joint).id]) for joint in robot.joints])
        owners = np.asarray(model.geom_bodyid)
        self._geoms = np.flatnonzero(owners > 0)
        self._links = np.array([b for b in range(1, model.nbody) if b != self._base])
        if self.active:
            for field in _FIELDS:
                physics.expand(field)

    def draw(self, ids: Tensor, generator: torch.Generator) -> None:
        """New motors, friction and delays for the worlds `ids` [K], and new bodies for a share of them."""
        if not self.active:
            return
        s, scale, rows = self._settings, self._scale, ids.numpy()
        k, joints, links = len(rows), self.joint_offset.shape[1], len(self._links)
        u = 2.0 * _uniform(k, 4 + 4 + 5 * joints + links, generator) - 1.0
        single, centre, per_link = u[:, :4], u[:, 4:8], u[:, 8 + 5 * joints :]
        stiff, damp, offset, viscous, rotor = u[:, 8 : 8 + 5 * joints].reshape(k, 5, joints).swapaxes(0, 1)
        fresh = ~self._has_body.numpy()[rows] | (centre[:, 3] < 2.0 * BODIES - 1.0)
        late = ((single[:, 3] + 1.0) * 0.5 * (self._longest + 1)).astype(np.int64)
        self.delay.numpy()[rows] = np.minimum(late, self._longest)
        self.joint_offset.numpy()[rows] = offset * (s.joint_offset * scale)
        single[:, 2] = np.where(fresh, single[:, 2], self.parameters.numpy()[rows, 2])
        self.parameters = with_rows(self.parameters, rows, single)

        friction = _factor(single[:, 0:1], s.friction * scale)
        self._write("geom_friction", rows, friction[:, :, None], at=self._geoms)
        strength = _factor(single[:, 1:2], s.strength * scale)
        stiffness = strength * _factor(stiff, s.stiffness * scale)
        damping = strength * _factor(damp, s.damping * scale)
        self._write("actuator_forcerange", rows, strength[:, :, None])
        self._write("actuator_gainprm", rows, stiffness[:, :, None])
        bias = np.stack((stiffness, stiffness, damping), -1)
        self._physics.expand("actuator_biasprm")[rows, :, :3] = self._physics.nominal("actuator_biasprm")[:, :3] * bias
        self._write("dof_damping", rows, _factor(viscous, s.joint_damping * scale), at=self._dofs)
        if fresh.any():
            self._has_body.numpy()[rows] = True
            self._body(rows[fresh], single[fresh, 2], centre[fresh, :3], per_link[fresh], rotor[fresh])

    def _body(self, rows: NDArray[np.int64], base: Array, centre: Array, links: Array, rotor: Array) -> None:
        """Other masses and rotor inertias for the worlds `rows`, of numbers in -1..1."""
        s, scale = self._settings, self._scale
        self._write("dof_armature", rows, _factor(rotor, s.armature * scale), at=self._dofs)
        physics, body = self._physics, self._base
        mass, inertia = physics.nominal("body_mass"), physics.nominal("body_inertia")
        heavier = np.maximum(0.2, 1.0 + base * (s.base_mass * scale / mass[body]))
        physics.expand("body_mass")[rows, body] = mass[body] * heavier
        physics.expand("body_inertia")[rows, body] = inertia[body] * heavier[:, None]
        physics.expand("body_ipos")[rows, body] = physics.nominal("body_ipos")[body] + centre * s.centre * scale
        share = _factor(links, s.link_mass * scale)
        physics.expand("body_mass")[rows[:, None], self._links] = mass[self._links] * share
        physics.expand("body_inertia")[rows[:, None], self._links] = inertia[self._links] * share[:, :, None]
        physics.set_const(rows)

    def _write(
        self, field: str, rows: NDArray[np.int64], factor: NDArray[np.float64], at: NDArray[np.int64] | None = None
    ) -> None:
        values, nominal = self._physics.expand(field), self._physics.nominal(field)
        if at is None:
            values[rows] = nominal * factor
        else:
            values[rows[:, None], at] = nominal[at] * factor

    def snapshot(self) -> dict[str, Tensor]:
        """The model's fields are the physics' own."""
        return {
            "delay": self.delay.clone(),
            "joint_offset": self.joint_offset.clone(),
            "parameters": self.parameters.clone(),
            "has_body": self._has_body.clone(),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._has_body = snapshot["has_body"].clone()
        self.delay = snapshot["delay"].clone()
        self.joint_offset = snapshot["joint_offset"].clone()
        self.parameters = snapshot["parameters"].clone()


class Pushes:
    """Kicks to the base of N worlds at random times: a sudden change of its horizontal velocity and its rates."""

    def __init__(self, settings: ImperfectionSettings, num_worlds: int, period: float, scale: float) -> None:
        self._settings = settings
        self._period = period
        self._scale = scale
        self._left = torch.full((num_worlds,), torch.inf)
        half = torch.tensor([settings.push_speed] * 2 + [0.0] + [settings.push_spin] * 3)
        self._half = half * scale

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Draw the time of the next push of the worlds `ids` [K]."""
        if self._scale > 0.0:
            low, high = self._settings.push_interval
            self._left.numpy()[ids.numpy()] = low + _uniform(len(ids), 1, generator)[:, 0] * (high - low)

    def advance(self, physics: MujocoPhysics, generator: torch.Generator) -> None:
        """One control period."""
        if self._scale == 0.0:
            return
        self._left -= self._period
        ids = (self._left <= 0.0).nonzero()[:, 0]
        if len(ids):
            kick = (2.0 * torch.rand(len(ids), 6, generator=generator) - 1.0) * self._half
            physics.qvel[ids.numpy(), :6] += kick.numpy()
            self.begin(ids, generator)

    def snapshot(self) -> dict[str, Tensor]:
        return {"push_left": self._left.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._left = snapshot["push_left"].clone()


def _uniform(count: int, width: int, generator: torch.Generator) -> Array:
    """Numbers in 0..1 [count, width]."""
    return torch.rand(count, width, generator=generator).numpy().astype(np.float64)


def _factor(u: Array, share: float) -> Array:
    """1 + u * share, no less than a tenth."""
    return np.maximum(0.1, 1.0 + u * share)


_FIELDS = (
    "geom_friction", "actuator_forcerange", "actuator_gainprm", "actuator_biasprm", "dof_damping",
    "dof_armature", "body_mass", "body_inertia", "body_ipos",
)  # fmt: skip
assert set(_FIELDS) <= set(mujoco.batch.MODEL_FIELDS)
