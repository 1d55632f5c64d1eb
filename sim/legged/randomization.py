"""How walking robots differ from each other and from the model: the events of a walking task.

Most are noted on a plan once (see `sim.legged.plan`); ranges are half-widths around the nominal value, and a world's
`imperfections` scale them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sim.legged.plan import Plan
from sim.terms.parameters import NonNegative, Share
from sim.terms.terms import Event


def friction(plan: Plan, *, range: NonNegative = 0.45) -> None:
    """Share by which the ground's friction differs from its nominal 0.8."""
    moving = torch.as_tensor(plan.model.geom_bodyid, device=plan.physics.device) > 0
    plan.multiply("geom_friction", moving, plan.factor(range))


def strength(plan: Plan, *, range: NonNegative = 0.1) -> None:
    """Share by which the torque limits and gains of all motors of a robot differ."""
    column = plan.factor(range)
    plan.multiply("actuator_forcerange", slice(None), column)
    plan.multiply("actuator_gainprm", slice(None), column)
    plan.multiply("actuator_biasprm", (slice(None), [1, 2]), column)


def delay(plan: Plan, *, longest: NonNegative = 0.01) -> None:
    """Longest delay of commands in s, in whole substeps; uniform from 0."""
    plan.longest = longest_delay(longest, plan.scale, plan.physics.dt)
    plan.delay = plan.up_to(plan.longest + 1)


def renewal(plan: Plan, *, share: Share = 0.25) -> None:
    """Share of the restarts that bring another body, because masses cost a pass over the model."""
    plan.renewal, plan.share = plan.draw(1, 0.5, 0.5, 0.0), share


def joint_offset(plan: Plan, *, range: NonNegative = 0.02) -> None:
    """Error in rad of each joint's encoder zero: in readings and in commands alike."""
    plan.zero = plan.offset(range, plan.joints)


def stiffness(plan: Plan, *, range: NonNegative = 0.1) -> None:
    """Share by which each joint's stiffness differs."""
    columns = plan.factor(range, plan.joints)
    plan.multiply("actuator_gainprm", slice(None), columns[:, None])
    plan.multiply("actuator_biasprm", (slice(None), 1), columns)


def damping(plan: Plan, *, range: NonNegative = 0.2) -> None:
    """Share by which each joint's damping gain differs."""
    plan.multiply("actuator_biasprm", (slice(None), 2), plan.factor(range, plan.joints))


def joint_damping(plan: Plan, *, range: NonNegative = 0.5, added: NonNegative = 0.0) -> None:
    """Share by which each joint's viscous friction differs, and the most in Nm s/rad that a robot's joints have more,
    all of them the same; uniform from 0."""
    plan.multiply("dof_damping", plan.dofs, plan.factor(range, plan.joints))
    if added > 0.0:
        plan.add("dof_damping", plan.dofs, plan.up_to(plan.scale * added).expand(plan.joints))


def armature(plan: Plan, *, range: NonNegative = 0.1) -> None:
    """Share by which each motor's rotor inertia differs."""
    plan.multiply("dof_armature", plan.dofs, plan.factor(range, plan.joints))


def centre(plan: Plan, *, range: NonNegative = 0.03) -> None:
    """Distance in m by which the base's centre of mass differs in each axis."""
    plan.add("body_ipos", plan.base, plan.offset(range, 3))


def base_mass(plan: Plan, *, range: NonNegative = 1.0) -> None:
    """Mass in kg by which the base differs, and its inertia in proportion."""
    column = plan.factor(range, lowest=0.2, of=float(plan.fields.nominal("body_mass")[plan.base]))
    plan.multiply("body_mass", plan.base, column[0])
    plan.multiply("body_inertia", plan.base, column)


def link_mass(plan: Plan, *, range: NonNegative = 0.05) -> None:
    """Share by which the masses of the other links differ, and their inertias in proportion."""
    columns = plan.factor(range, len(plan.links))
    plan.multiply("body_mass", plan.links, columns)
    plan.multiply("body_inertia", plan.links, columns[:, None])


def push(
    scenario: Any, ids: Tensor, generator: torch.Generator, *, speed: NonNegative = 0.5, spin: NonNegative = 0.4
) -> None:
    """A sudden change of the base's horizontal velocity by up to `speed` m/s and of its rates by up to `spin` rad/s, in
    each axis."""
    half = torch.tensor([speed] * 2 + [0.0] + [spin] * 3, device=ids.device) * scenario.scale
    kick = (2.0 * torch.rand(len(ids), 6, generator=generator, device=ids.device) - 1.0) * half
    scenario.physics.qvel[ids, scenario.twist] += kick


WALKING_RANDOMIZATION = {
    "friction": Event(friction, "model"),
    "strength": Event(strength, "model"),
    "delay": Event(delay, "model"),
    "renewal": Event(renewal, "model"),
    "joint_offset": Event(joint_offset, "model"),
    "stiffness": Event(stiffness, "model"),
    "damping": Event(damping, "model"),
    "joint_damping": Event(joint_damping, "model"),
    "armature": Event(armature, "model"),
    "centre": Event(centre, "model"),
    "base_mass": Event(base_mass, "model"),
    "link_mass": Event(link_mass, "model"),
    "push": Event(push, "interval", interval=(5.0, 10.0)),
}
"""The randomization of every walking task; the order is that of the draws, so a seed's worlds depend on it."""


def longest_delay(longest: float, scale: float, dt: float) -> int:
    """The longest delay of commands in substeps of `dt` s: `longest` s, times `scale`."""
    return round(longest * scale / dt)
