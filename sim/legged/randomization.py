"""What differs between robots of one kind and from the model: drawn anew at restarts, always from stored nominal
values, so that nothing accumulates."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.errors import UserError
from sim.actuators import ActuatorModels
from sim.legged.settings import ImperfectionSettings
from sim.physics.addresses import Addresses
from sim.physics.masks import mask_of
from sim.physics.protocol import JointedPhysics, ModelFields
from sim.robots.legged import LeggedRobot

BODIES = 0.25
"""Share of the restarts that bring another body: masses cost MuJoCo a pass over the model (`set_const`), motors and
friction nothing."""
PARAMETERS = ("friction", "strength", "base_mass", "delay")
"""The privileged parameters of a world, each scaled to about -1..1."""
TARGET = "joint_position_target"
_BASE = PARAMETERS.index("base_mass")
_MOTORS = ("geom_friction", "actuator_forcerange", "actuator_gainprm", "actuator_biasprm", "dof_damping")
_BODIES = ("dof_armature", "body_mass", "body_inertia")


class Imperfections:
    """The drawn bodies and motors of N worlds.

    Drawn values are written where they act: into the physics' model fields, and into the delay [N] and zero error
    [N, joints] of `actuators`, which are here as `delay` (substeps) and `joint_offset` (rad). `parameters` [N, 4] are
    as `PARAMETERS` says. With `scale` 0, or not `randomized`, every world stays the model itself.
    """

    def __init__(
        self,
        settings: ImperfectionSettings,
        physics: JointedPhysics,
        actuators: ActuatorModels,
        robot: LeggedRobot,
        randomized: bool,
        scale: float,
    ) -> None:
        n, joints, device = physics.num_worlds, len(robot.joints), physics.device
        self.active = randomized and scale > 0.0
        self.parameters = torch.zeros(n, len(PARAMETERS), device=device)
        self._has_body = torch.zeros(n, dtype=torch.bool, device=device)
        self.joint_offset = torch.zeros(n, joints, device=device)
        self.delay = torch.zeros(n, dtype=torch.int64, device=device)
        if not self.active:
            return
        if physics.fields is None:
            raise UserError("this physics backend has no model fields to randomize; set imperfections to 0")
        self._fields: ModelFields = physics.fields
        self.joint_offset, self.delay = actuators[TARGET].zero, actuators[TARGET].delay
        longest = longest_delay(settings, scale, physics.dt)
        self._longest = longest
        model = physics.model
        base = int(model.body(robot.base).id)
        links = [b for b in range(1, model.nbody) if b != base]
        # What is drawn for a world, side by side: name, how many, and each one's middle, half range and lowest value.
        s, none = settings, -torch.inf
        mass, most = float(self._fields.nominal("body_mass")[base]), 0.5 * (longest + 1)
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
            ("link_mass", len(links), 1.0, scale * s.link_mass, 0.1),
        )
        counts = torch.tensor([row[1] for row in drawn])
        ranges = torch.tensor([row[2:] for row in drawn], dtype=torch.float64, device=device)
        self._middle, self._half, self._floor = ranges.repeat_interleave(counts.to(device), 0).T.contiguous()
        ends = counts.cumsum(0).tolist()
        self._at = {name: slice(end - count, end) for (name, count, *_), end in zip(drawn, ends, strict=True)}
        self._not_mass = torch.arange(len(PARAMETERS), device=device) != _BASE
        self._observed = torch.tensor([self._at[name].start for name in PARAMETERS], device=device)
        self._plan(model_sources(physics, robot, self._at, ends[-1], base, links))
        self._centres = self._fields.expand("body_ipos")[:, base]
        self._nominal_centre = self._fields.nominal("body_ipos")[base]

    def _plan(self, sources: Mapping[str, Tensor]) -> None:
        """For motors and for bodies: the fields' rows, the factors' columns and what they multiply."""
        self._groups = []
        for names in (_MOTORS, _BODIES):
            live = [self._fields.expand(name).flatten(1) for name in names]
            columns = torch.cat([sources[name].flatten() for name in names])
            nominal = torch.cat([self._fields.nominal(name).flatten() for name in names])
            self._groups.append((live, [rows.shape[1] for rows in live], columns, nominal))

    def draw(self, ids: Tensor, generator: torch.Generator) -> None:
        """New motors, friction and delays for the worlds `ids` [K], and new bodies for a share of them."""
        if not self.active:
            return
        at, k = self._at, len(ids)
        u = torch.rand(k, len(self._half), generator=generator, dtype=torch.float64, device=ids.device)
        u = 2.0 * u - 1.0
        # All of it at once: with a few worlds the number of operations is what costs.
        drawn = torch.maximum(self._floor, self._middle + self._half * u)
        fresh = (drawn[:, at["renewal"].start] < BODIES) | ~self._has_body.index_select(0, ids)
        observed = u.index_select(1, self._observed).float()
        # A body that stays keeps its mass.
        new = fresh[:, None] | self._not_mass
        self.parameters.index_copy_(0, ids, torch.where(new, observed, self.parameters.index_select(0, ids)))
        self.delay.index_copy_(0, ids, drawn[:, at["delay"].start].clamp_max(self._longest).long())
        self.joint_offset.index_copy_(0, ids, drawn[:, at["joint_offset"]].float())
        strength, ones = drawn[:, at["strength"]], torch.ones_like(drawn[:, :1])
        factors = torch.cat((drawn, strength * drawn[:, at["stiffness"]], strength * drawn[:, at["damping"]], ones), 1)
        self._write(0, ids, factors)
        if fresh.any():
            ids, factors = ids[fresh], factors[fresh]
            self._has_body.index_fill_(0, ids, True)
            self._write(1, ids, factors)
            self._centres.index_copy_(0, ids, self._nominal_centre + factors[:, at["centre"]])
            self._fields.set_const(mask_of(ids, len(self._has_body)))

    def _write(self, group: int, ids: Tensor, factors: Tensor) -> None:
        """Write the fields of a group for the worlds `ids` [K]: their nominal values times `factors` [K, F]."""
        fields, widths, columns, nominal = self._groups[group]
        rows = nominal * factors.index_select(1, columns)
        for live, part in zip(fields, rows.split(widths, 1), strict=True):
            live.index_copy_(0, ids, part)

    def snapshot(self) -> dict[str, Tensor]:
        """The model's fields are in the physics' snapshot, delays and zero errors in the actuators'."""
        return {"parameters": self.parameters.clone(), "has_body": self._has_body.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._has_body.copy_(snapshot["has_body"])
        self.parameters.copy_(snapshot["parameters"])


def longest_delay(settings: ImperfectionSettings, scale: float, dt: float) -> int:
    """The longest delay of commands in substeps of `dt` s, at `scale` times the settings' imperfections."""
    return round(settings.delay * scale / dt)


def model_sources(
    physics: JointedPhysics, robot: LeggedRobot, at: Mapping[str, slice], width: int, base: int, links: list[int]
) -> dict[str, Tensor]:
    """For each entry of the randomized fields, the column of the factor that multiplies its nominal value.

    The columns are those of what is drawn, `width` in all, then each joint's strength times stiffness and strength
    times damping, then a 1.
    """
    model, joints = physics.model, len(robot.joints)
    one = width + 2 * joints
    assert physics.fields is not None
    sources = {
        field: torch.full_like(physics.fields.nominal(field), one, dtype=torch.int64) for field in (*_MOTORS, *_BODIES)
    }

    def columns(name: str) -> Tensor:
        return torch.arange(at[name].start, at[name].stop, device=physics.device)

    stiffness = torch.arange(width, width + joints, device=physics.device)
    moving = torch.as_tensor(model.geom_bodyid, device=physics.device) > 0
    dofs = Addresses.of(model, robot.base, robot.joints, physics.device).dofs
    sources["geom_friction"][moving] = at["friction"].start
    sources["actuator_forcerange"][:] = at["strength"].start
    sources["actuator_gainprm"][:] = stiffness[:, None]
    sources["actuator_biasprm"][:, 1], sources["actuator_biasprm"][:, 2] = stiffness, stiffness + joints
    sources["dof_damping"][dofs] = columns("joint_damping")
    sources["dof_armature"][dofs] = columns("armature")
    bodies = torch.tensor([base, *links], device=physics.device)
    masses = torch.cat((columns("base_mass"), columns("link_mass")))
    sources["body_mass"][bodies] = masses
    sources["body_inertia"][bodies] = masses[:, None]
    return sources


class Pushes:
    """Kicks to the base of N worlds at random times: a sudden change of its horizontal velocity and its rates."""

    def __init__(
        self, settings: ImperfectionSettings, physics: JointedPhysics, robot: LeggedRobot, period: float, scale: float
    ) -> None:
        self._settings = settings
        self._period = period
        self._scale = scale
        self._left = torch.full((physics.num_worlds,), torch.inf, device=physics.device)
        half = torch.tensor([settings.push_speed] * 2 + [0.0] + [settings.push_spin] * 3, device=physics.device)
        self._half = half * scale
        at = Addresses.of(physics.model, robot.base, robot.joints, physics.device)
        self._twist = slice(at.velocity.start, at.rates.stop)

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        """Draw the time of the next push of the worlds `ids` [K]."""
        if self._scale > 0.0:
            low, high = self._settings.push_interval
            share = torch.rand(len(ids), 1, generator=generator, device=ids.device)[:, 0].double()
            self._left.index_copy_(0, ids, (low + share * (high - low)).float())

    def advance(self, physics: JointedPhysics, generator: torch.Generator) -> None:
        """One control period."""
        if self._scale == 0.0:
            return
        self._left -= self._period
        ids = (self._left <= 0.0).nonzero()[:, 0]
        if len(ids):
            kick = (2.0 * torch.rand(len(ids), 6, generator=generator, device=ids.device) - 1.0) * self._half
            physics.qvel[ids, self._twist] += kick
            self.begin(ids, generator)

    def snapshot(self) -> dict[str, Tensor]:
        return {"push_left": self._left.clone()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._left = snapshot["push_left"].clone()
