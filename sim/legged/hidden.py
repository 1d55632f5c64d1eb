"""What a walking robot does not know of itself and its world, drawn for each episode: events, and truth by name.

Ranges are those at imperfections 1; every `Privileged` of `HIDDEN` is scaled to about -1..1 there, and reaches further
at larger imperfections.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policies.graph.symmetry import SignedPermutation
from policies.terms.rotation import rotation_matrix
from sim.legged.mirror import Kind
from sim.legged.plan import PARAMETERS, Plan
from sim.terms.parameters import NonNegative
from sim.terms.terms import Event, Privileged, Signal
from sim.terms.view import View


def payload(plan: Plan, *, mass: NonNegative = 5.0, reach: NonNegative = 0.05) -> None:
    """A load of up to `mass` kg on the base, whose inertia grows in proportion, and the distance in m by which the two
    together have their centre of mass from the base's own, up to `reach` in each axis."""
    half = 0.5 * mass / float(plan.fields.nominal("body_mass")[plan.base])
    column = plan.draw(1, 1.0 + plan.scale * half, plan.scale * half, 1.0)
    plan.multiply("body_mass", plan.base, column[0])
    plan.multiply("body_inertia", plan.base, column)
    centre = plan.offset(reach, 3)
    plan.add("body_ipos", plan.base, centre)
    plan.show("payload_mass", column, 1.0 + half, half)
    plan.show("payload_position", centre, 0.0, reach)


def leg_strength(plan: Plan, *, range: NonNegative = 0.45) -> None:
    """Share by which the torque limits and gains of each leg's motors differ."""
    legs = plan.legs()
    columns = plan.factor(range, max(legs) + 1)
    plan.show("leg_strength", columns, 1.0, range)
    columns = columns[legs]
    plan.multiply("actuator_forcerange", slice(None), columns[:, None])
    plan.multiply("actuator_gainprm", slice(None), columns[:, None])
    plan.multiply("actuator_biasprm", (slice(None), [1, 2]), columns[:, None])


def wind(plan: Plan, *, range: NonNegative = 1.0) -> None:
    """A steady force in a direction of the world, in m/s^2 that it would accelerate the robot by, in each axis."""
    columns = plan.offset(range, 2)
    plan.add("opt.gravity", torch.arange(2, device=columns.device), columns)
    plan.show("wind", columns, 0.0, range)


def wind_along(view: View) -> Tensor:
    """The wind [N, 2] along the base's forward and left axes."""
    turned = rotation_matrix(view["orientation"]).view(-1, 3, 3)[:, :2, :2]
    return (turned * view["wind"][:, :, None]).sum(1)


@dataclass(frozen=True)
class Drawn:
    """The function of a privileged term that shows one of the `PARAMETERS` [N, 1]."""

    name: str

    def __call__(self, view: View) -> Tensor:
        return view["parameters"][:, PARAMETERS.index(self.name), None]


HIDDEN_EVENTS = {
    "payload": Event(payload, "model"),
    "leg_strength": Event(leg_strength, "model"),
    "wind": Event(wind, "model"),
}

HIDDEN: dict[str, Privileged] = {
    **{name: Privileged(Drawn(name), 1) for name in ("friction", "strength", "delay")},
    "payload_mass": Privileged(Signal("payload_mass"), 1),
    "payload_position": Privileged(Signal("payload_position"), 3),
    "leg_strength": Privileged(Signal("leg_strength"), 4),
    "wind": Privileged(wind_along, 2),
}
"""Every hidden parameter by name."""

HIDDEN_MIRROR: dict[str, Kind | SignedPermutation] = {
    "payload_mass": "same", "payload_position": "vector", "leg_strength": "feet",
    "wind": SignedPermutation((0, 1), (1.0, -1.0)),
}  # fmt: skip
