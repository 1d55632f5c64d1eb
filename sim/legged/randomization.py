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

Array = NDArray[np.float64]

BODIES = 0.25
"""Share of the restarts that bring another body: masses cost MuJoCo a pass over the model (`set_const`), motors and
friction nothing."""
PARAMETERS = ("friction", "strength", "base_mass", "delay")
"""What a critic is told of a world, each scaled to about -1..1."""
_BASE = PARAMETERS.index("base_mass")


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
        self._physics = physics
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
        # What is drawn for a world, side by side: name, how many, and each one's middle, half range and lowest value.
        s, none = settings, -np.inf
        mass, most = float(physics.nominal("body_mass")[self._base]), 0.5 * (self._longest + 1)
        drawn = (
            ("friction", 1, 1.0, scale * s.friction, 0.1),
            ("strength", 1, 1.0, scale * s.strength, 0.1),
            ("delay", 1, most, most, 0.0),
            ("renewal", 1, 0.5, 0.5, 0.0),
            ("joint_offset", joints, 0.0, scale * s.joint_offset, none),
            ("stiffness", joints, 1.0, scale * s.stiffness, 0.1),
            ("damping", joints, 1.0, scale * s.damping, 0.1),
            ("joint_damping", joints, 1.0, scale * s.joint_damping, 0.1),
            ("armature", joints, 1.0, scale * s.armature, 0.1),
            ("centre", 3, 0.0, scale * s.centre, none),
            ("base_mass", 1, 1.0, scale * s.base_mass / mass, 0.2),
            ("link_mass", len(self._links), 1.0, scale * s.link_mass, 0.1),
        )
        ends = np.cumsum([count for _, count, *_ in drawn])
        self._at = {name: slice(end - count, end) for (name, count, *_), end in zip(drawn, ends, strict=True)}
        self._middle, self._half, self._floor = np.repeat([row[2:] for row in drawn], [row[1] for row in drawn], 0).T
        self._told = [self._at[name].start for name in PARAMETERS]
        self._bodies = np.array([self._base, *self._links])
        self._masses = slice(self._at["base_mass"].start, self._at["link_mass"].stop)
        if self.active:
            for field in _FIELDS:
                physics.expand(field)

    def draw(self, ids: Tensor, generator: torch.Generator) -> None:
        """New motors, friction and delays for the worlds `ids` [K], and new bodies for a share of them."""
        if not self.active:
            return
        rows, at, physics = ids.numpy(), self._at, self._physics
        u = 2.0 * torch.rand(len(rows), len(self._half), generator=generator, dtype=torch.float64).numpy() - 1.0
        # All of it at once, for with a few worlds it is the number of operations that costs.
        drawn = np.maximum(self._floor, self._middle + self._half * u)
        has_body, parameters = self._has_body.numpy(), self.parameters.numpy()
        fresh = ~has_body[rows] | (drawn[:, at["renewal"].start] < BODIES)
        told = u[:, self._told]
        told[~fresh, _BASE] = parameters[rows[~fresh], _BASE]
        parameters[rows] = told
        self.delay.numpy()[rows] = np.minimum(drawn[:, at["delay"].start], self._longest)
        self.joint_offset.numpy()[rows] = drawn[:, at["joint_offset"]]

        strength = drawn[:, at["strength"]]
        stiffness, damping = strength * drawn[:, at["stiffness"]], strength * drawn[:, at["damping"]]
        self._write("geom_friction", rows, drawn[:, at["friction"], None], at=self._geoms)
        self._write("actuator_forcerange", rows, strength[:, :, None])
        self._write("actuator_gainprm", rows, stiffness[:, :, None])
        bias, nominal = physics.expand("actuator_biasprm"), physics.nominal("actuator_biasprm")
        bias[rows, :, 1], bias[rows, :, 2] = nominal[:, 1] * stiffness, nominal[:, 2] * damping
        self._write("dof_damping", rows, drawn[:, at["joint_damping"]], at=self._dofs)
        if fresh.any():
            has_body[rows] = True
            self._body(rows[fresh], drawn[fresh])

    def _body(self, rows: NDArray[np.int64], drawn: Array) -> None:
        """Other masses and rotor inertias for the worlds `rows`."""
        physics, at, masses = self._physics, self._at, drawn[:, self._masses]
        self._write("dof_armature", rows, drawn[:, at["armature"]], at=self._dofs)
        self._write("body_mass", rows, masses, at=self._bodies)
        self._write("body_inertia", rows, masses[:, :, None], at=self._bodies)
        centre = physics.nominal("body_ipos")[self._base]
        physics.expand("body_ipos")[rows, self._base] = centre + drawn[:, at["centre"]]
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


_FIELDS = (
    "geom_friction", "actuator_forcerange", "actuator_gainprm", "actuator_biasprm", "dof_damping",
    "dof_armature", "body_mass", "body_inertia", "body_ipos",
)  # fmt: skip
assert set(_FIELDS) <= set(mujoco.batch.MODEL_FIELDS)
