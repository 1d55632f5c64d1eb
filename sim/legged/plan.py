"""The random parameters of walking robots, drawn at their restarts in one draw, and the model fields that they change.

Always from stored nominal values, so that nothing accumulates. When few worlds restart, the time depends on the number
of operations. So events state once, on a `Plan`, what is drawn and which field it changes, and everything is drawn and
written together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import torch
from torch import Tensor

from policies.errors import UserError
from sim.actuators import ActuatorModels
from sim.legged import draws
from sim.physics.addresses import Addresses
from sim.physics.masks import mask_of
from sim.physics.passes import StructPass
from sim.physics.protocol import JointedPhysics
from sim.robots.robot import Robot
from sim.terms.terms import Event

PARAMETERS = ("friction", "strength", "base_mass", "delay")
"""The privileged parameters of a world: what the events of these names drew, scaled to about -1..1."""
TARGET = "joint_position_target"
_DERIVED = ("dof_armature", "body_mass", "body_inertia", "body_ipos")
"""Fields from which the model derives others by `set_const`, which is slow."""
_DEPTH = 2
"""Most factors of one model parameter."""


class Plan:
    """The numbers drawn for each world, side by side, and the fields that they change. Draws are uniform, numbers of
    columns [k].

    `scale` is the environment's `imperfections`, by which every half range is multiplied.
    """

    def __init__(self, physics: JointedPhysics, robot: Robot, scale: float) -> None:
        if physics.fields is None:
            raise UserError("this physics backend has no model fields to randomize; set imperfections to 0")
        self.physics, self.robot, self.scale = physics, robot, scale
        self.fields = physics.fields
        self.model = physics.model
        self.base = _weighing(self.model, int(self.model.body(robot.base).id))
        self.links = [body for body in range(1, self.model.nbody) if body != self.base]
        self.dofs = Addresses.of(self.model, robot.base, robot.joints, physics.device).dofs
        self.joints = len(robot.joints)
        self.rows: list[tuple[float, float, float]] = []
        """Middle, half range and lowest value of each column."""
        self.ranges: list[Tensor] = []
        """Columns that are drawn within a range of imperfections."""
        self.rising: list[Tensor] = [torch.empty(0, dtype=torch.int64)]
        """Those among them whose range begins at 0."""
        self.multiplied: dict[str, list[Tensor]] = {}
        """For each field, up to `_DEPTH` tensors of its shape: the column that multiplies each entry, or -1."""
        self.added: list[tuple[str, int | Tensor, Tensor]] = []
        self.shown: dict[str, tuple[Tensor, float, float]] = {}
        """For each name of the truth: the columns that it shows, and the middle and half range that scale them."""
        # Columns of the delay, the zero errors and the probability of another body, if they are drawn.
        self.delay = self.zero = self.renewal = torch.empty(0, dtype=torch.int64)
        self.longest = 0
        self.share = 1.0

    def draw(self, count: int, middle: float, half: float, lowest: float) -> Tensor:
        """Columns of `count` numbers within `half` of `middle`, none below `lowest`; not scaled."""
        first = len(self.rows)
        self.rows += [(middle, half, lowest)] * count
        return torch.arange(first, first + count, device=self.physics.device)

    def factor(self, spread: float, count: int = 1, lowest: float = 0.1, of: float = 1.0) -> Tensor:
        """Columns of factors within `spread` / `of` of 1."""
        self.ranges.append(self.draw(count, 1.0, self.scale * spread / of, lowest))
        return self.ranges[-1]

    def offset(self, spread: float, count: int) -> Tensor:
        """Columns of numbers within `spread` of 0."""
        self.ranges.append(self.draw(count, 0.0, self.scale * spread, -torch.inf))
        return self.ranges[-1]

    def up_to(self, largest: float) -> Tensor:
        """A column of numbers from 0 to `largest`, which `scale` must have been applied to."""
        column = self.draw(1, 0.5 * largest, 0.5 * largest, 0.0)
        self.ranges.append(column)
        self.rising.append(column)
        return column

    def multiply(self, field: str, where: Any, columns: Tensor) -> None:
        """Let `columns` multiply the entries field[where] of each world's model. UserError for a third factor."""
        nothing = torch.full_like(self.fields.nominal(field), -1, dtype=torch.int64)
        layers = self.multiplied.setdefault(field, [])
        layer = next((layer for layer in layers if bool((layer[where] < 0).all())), None)
        if layer is None:
            if len(layers) == _DEPTH:
                raise UserError(f"more than {_DEPTH} events multiply the same entries of {field}; join some of them")
            layers.append(layer := nothing)
        layer[where] = columns

    def add(self, field: str, index: int | Tensor, columns: Tensor) -> None:
        """Add `columns` to the entries field[index] of each world's model, after all factors."""
        self.added.append((field, index, columns))

    def show(self, name: str, columns: Tensor, middle: float, half: float) -> None:
        """Let the truth hold `columns` as `name` [N, k]: from -1 to 1 within `half` of `middle`. Leave `renewal` out of
        the task where they belong to the body: what is shown is what was drawn at the last restart."""
        self.shown[name] = columns, middle, max(half, 1e-9)

    def nominal(self, name: str) -> Tensor:
        """What `show` gives [k] of a world that differs as little as the plan's scale allows."""
        columns, middle, half = self.shown[name]
        return torch.tensor([(self.rows[column][0] - middle) / half for column in columns.tolist()])

    def legs(self) -> list[int]:
        """The leg of each joint, from 0 in the order of the joints; a leg's joints hang on the base in one place."""
        parents, found = self.model.body_parentid, []
        for joint in self.robot.joints:
            body = int(self.model.jnt_bodyid[self.model.joint(joint).id])
            while parents[body] != self.base:
                body = int(parents[body])
            found.append(body)
        order = list(dict.fromkeys(found))
        return [order.index(body) for body in found]


class Randomization:
    """The drawn bodies and motors of N worlds, by the events of `when="model"` among `events`.

    Drawn values are written where they act: into the physics' model fields, and into the delay [N] and zero error
    [N, joints] of `actuators`, which are here as `delay` (substeps) and `joint_offset` (rad). `parameters` [N, 4] are
    as `PARAMETERS` says, `shown` what a plan's `show` names. With `scale` 0, or without such events, every world stays
    the model itself.
    """

    def __init__(
        self,
        events: Mapping[str, Event],
        physics: JointedPhysics,
        actuators: ActuatorModels,
        robot: Robot,
        scale: float,
    ) -> None:
        n, device = physics.num_worlds, physics.device
        self.parameters = torch.zeros(n, len(PARAMETERS), device=device)
        self._has_body = torch.zeros(n, dtype=torch.bool, device=device)
        self.delay = torch.zeros(n, dtype=torch.int64, device=device)
        self.joint_offset = torch.zeros(n, len(robot.joints), device=device)
        self.shown: dict[str, Tensor] = {}
        planned = {name: event for name, event in events.items() if event.when == "model"}
        self.active = bool(planned) and scale > 0.0
        if not planned or (not self.active and physics.fields is None):
            return
        self._plan = plan = Plan(physics, robot, scale)
        firsts = {}
        for name, event in planned.items():
            firsts[name] = len(plan.rows)
            event(plan)
        self.shown = {name: plan.nominal(name).to(device).repeat(n, 1) for name in plan.shown}
        if not self.active:
            return
        self.joint_offset, self.delay = actuators[TARGET].zero, actuators[TARGET].delay
        middle, half, lowest = torch.tensor(plan.rows, dtype=torch.float64, device=device).T.contiguous()
        self._drawn = len(plan.rows)
        constant = {
            "middle": middle, "half": half, "lowest": lowest, "share": plan.share, "longest": float(plan.longest),
            "renewal": _first(plan.renewal), "late": _first(plan.delay), "zero": _first(plan.zero),
            "observed": torch.tensor([firsts.get(name, 0) for name in PARAMETERS], device=device),
            "known": torch.tensor([scale if name in firsts else 0.0 for name in PARAMETERS], device=device),
            "of_body": torch.tensor([name == "base_mass" for name in PARAMETERS], device=device),
            "has_body": self._has_body, "parameters": self.parameters, "delay": self.delay,
            "joint_offset": self.joint_offset,
        }  # fmt: skip
        self._live = [constant[name] for name in ("middle", "half", "known")]
        self._whole = [live.clone() for live in self._live]
        rows = ("ids", "u", "factors", "fresh")
        self._pass = StructPass(draws.draw_bodies, draws.BodyDraws, n, str(device), constant, rows=rows)
        names = [*plan.multiplied, *(field for field, *_ in plan.added)]
        of_body = [name for name in dict.fromkeys(names) if name in _DERIVED]
        self._motors = _Writer(plan, [name for name in dict.fromkeys(names) if name not in of_body])
        self._bodies = _Writer(plan, of_body)

    def draw(self, ids: Tensor, generator: torch.Generator) -> None:
        """New motors, friction and delays for the worlds `ids` [K], and new bodies for a share of them."""
        if not self.active:
            return
        u = torch.rand(len(ids), self._drawn, generator=generator, dtype=torch.float64, device=ids.device)
        factors, fresh = u.new_empty(len(ids), self._drawn + 1), torch.empty_like(ids, dtype=torch.bool)
        given = {"ids": ids, "u": u, "factors": factors, "fresh": fresh}
        self._pass(given, {"count": len(ids)})
        self._motors.write(ids, factors)
        for name, (columns, middle, half) in self._plan.shown.items():
            values = ((factors.index_select(1, columns) - middle) / half).float()
            self.shown[name] = self.shown[name].index_copy(0, ids, values)
        if fresh.any():
            ids, factors = ids[fresh], factors[fresh]
            self._has_body.index_fill_(0, ids, True)
            self._bodies.write(ids, factors)
            self._plan.fields.set_const(mask_of(ids, len(self._has_body)))

    def scale_imperfections(self, share: float) -> None:
        """Draw from this share of the whole ranges from now on. What critics see of the draws has their own scale."""
        if self.active:
            plan = self._plan
            middle, half, known = (torch.ones_like(whole) for whole in self._whole)
            half[torch.cat(plan.ranges)] = share
            middle[torch.cat(plan.rising)] = share
            known[:] = share
            for live, whole, factor in zip(self._live, self._whole, (middle, half, known), strict=True):
                live.copy_(whole * factor)

    def snapshot(self) -> dict[str, Tensor]:
        """The model's fields are in the physics' snapshot, delays and zero errors in the actuators'."""
        shown = {f"shown.{name}": value.clone() for name, value in self.shown.items()}
        return {"parameters": self.parameters.clone(), "has_body": self._has_body.clone(), **shown}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._has_body.copy_(snapshot["has_body"])
        self.parameters.copy_(snapshot["parameters"])
        self.shown = {name: snapshot[f"shown.{name}"].clone() for name in self.shown}


class _Writer:
    """Writes some of the model's fields, from the columns that a plan says: all of their entries in one product."""

    def __init__(self, plan: Plan, fields: Sequence[str]) -> None:
        one = len(plan.rows)
        names = [name for name in fields if name in plan.multiplied]
        self._live = [plan.fields.expand(name).flatten(1) for name in names]
        self._widths = [live.shape[1] for live in self._live]
        self._nominal = _joined([plan.fields.nominal(name) for name in names])
        self._columns = []
        for depth in range(max((len(plan.multiplied[name]) for name in names), default=0)):
            none = [torch.full_like(plan.multiplied[name][0], -1) for name in names]
            layer = _joined(
                [
                    plan.multiplied[name][depth] if depth < len(plan.multiplied[name]) else absent
                    for name, absent in zip(names, none, strict=True)
                ]
            )
            self._columns.append(torch.where(layer < 0, one, layer))
        self._added = [
            (plan.fields.expand(name), index, None if name in names else plan.fields.nominal(name)[index], columns)
            for name, index, columns in plan.added
            if name in fields
        ]

    def write(self, ids: Tensor, factors: Tensor) -> None:
        """Write the fields of the worlds `ids` [K]: what was drawn for them, and a 1, are `factors` [K, F]."""
        if self._live:
            product = factors.index_select(1, self._columns[0])
            for columns in self._columns[1:]:
                product = product * factors.index_select(1, columns)
            for live, part in zip(self._live, (self._nominal * product).split(self._widths, 1), strict=True):
                live.index_copy_(0, ids, part)
        for live, index, nominal, columns in self._added:
            # What has been multiplied was written anew just now; anything else still has what was added before.
            place = (ids, index) if isinstance(index, int) else (ids[:, None], index)
            live[place] = (live[place] if nominal is None else nominal) + factors.index_select(1, columns)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts]) if parts else torch.empty(0)


def _first(columns: Tensor) -> int:
    """The first of adjacent columns; -1 without any."""
    return int(columns[0]) if len(columns) else -1


def _weighing(model: mujoco.MjModel, base: int) -> int:
    """The base or, where it weighs next to nothing, the heaviest body that is fixed to it."""
    fixed = [body for body in range(1, model.nbody) if model.body_weldid[body] == model.body_weldid[base]]
    heaviest = max(fixed, key=lambda body: float(model.body_mass[body]))
    return heaviest if model.body_mass[base] < 0.1 * model.body_mass[heaviest] else base
