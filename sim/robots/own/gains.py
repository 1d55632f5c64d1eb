"""Gains for motors that have none in the file, from what they move and carry: one rule for every robot.

A joint turns its own leg, and moves the share of the robot that stands on that leg. Stiffness is such that this
inertia swings at `FREQUENCY` and the load of the stance bends the joint by `SAG` at most. Damping is `DAMPING_RATIO` of
the critical one of the leg in the air, less what the joint itself has: that of the robot on the leg would be four times
as much, and the leg would swing too slowly to step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from sim.robots.derive import posed
from sim.robots.legs import Mirror

FREQUENCY = 2.0
"""Natural frequency in Hz."""
DAMPING_RATIO = 0.35
SAG = 0.15
"""Largest change of a joint under the robot's own weight in the stance, rad."""
GRAVITY = 9.81


@dataclass(frozen=True)
class Gains:
    """What the rule gives each joint; damping follows from the stiffness that the joint has."""

    stiffness: Mapping[str, float]
    """Nm/rad, or N/m for a slide."""
    inertia: Mapping[str, float]
    """Of what the joint turns with the base held, kg m^2, or kg."""
    friction: Mapping[str, float]
    """The joint's own damping in Nm s/rad, or N s/m."""
    load: Mapping[str, float]
    """What the robot's weight asks of the joint in the stance, Nm or N."""

    def damping(self, joint: str, stiffness: float) -> float:
        """Nm s/rad, or N s/m, of the motor of a joint that has the `stiffness`."""
        whole = 2.0 * DAMPING_RATIO * math.sqrt(stiffness * self.inertia[joint])
        return _rounded(max(0.0, whole - self.friction[joint]))


def derived_gains(
    model: mujoco.MjModel,
    robot: frozenset[int],
    joints: Sequence[str],
    stance: Mapping[str, float],
    feet: Sequence[Sequence[int]],
    mirror: Mirror,
) -> Gains:
    """The same on both sides; `stance` holds every joint that moves, `feet` are groups of geoms."""
    data = posed(model, stance)
    dofs = [int(model.joint(joint).dofadr[0]) for joint in joints]
    mass = float(sum(model.body_mass[body] for body in robot)) / max(1, len(feet))
    own = np.array([_own_inertia(model, data, dof) for dof in dofs])
    inertia = own.copy()
    load = np.array(data.qfrc_bias[dofs])
    for foot in feet:
        slope = np.zeros((3, model.nv))
        point, body = data.geom_xpos[list(foot)].mean(0), int(model.geom_bodyid[foot[0]])
        mujoco.mj_jac(model, data, slope, None, point, body)
        inertia += mass * (slope[:, dofs] ** 2).sum(0)
        load -= mass * GRAVITY * slope[2, dofs]
    other = list(mirror.joint_from)
    inertia = np.maximum(inertia, inertia[other])
    load = np.maximum(np.abs(load), np.abs(load[other]))
    stiffness = np.maximum(inertia * (2.0 * math.pi * FREQUENCY) ** 2, load / SAG)
    return Gains(
        {joint: _rounded(float(value)) for joint, value in zip(joints, stiffness, strict=True)},
        dict(zip(joints, map(float, np.maximum(own, own[other])), strict=True)),
        {joint: float(model.dof_damping[dof]) for joint, dof in zip(joints, dofs, strict=True)},
        dict(zip(joints, map(float, load), strict=True)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _own_inertia(model: mujoco.MjModel, data: mujoco.MjData, dof: int) -> float:
    """What the joint turns with the base held, its rotor included: kg m^2, or kg for a slide."""
    unit, product = np.zeros(model.nv), np.zeros(model.nv)
    unit[dof] = 1.0
    mujoco.mj_mulM(model, data, product, unit)
    return float(product[dof])


def said(field: str, values: Mapping[str, float]) -> str:
    """The rule and its result in one line."""
    return (
        f"the file has no {field} for {', '.join(values)}: derived for a natural frequency of {FREQUENCY} Hz, a "
        f"damping ratio of {DAMPING_RATIO} and at most {SAG} rad of sag under the robot's weight, "
        f"{min(values.values()):.3g} to {max(values.values()):.3g}"
    )


def too_soft(rule: Gains, stiffness: Mapping[str, float]) -> list[str]:
    """A line on joints whose `stiffness` is from the file and lets the robot's weight bend them by more than `SAG`."""
    sags = {joint: rule.load[joint] / value for joint, value in stiffness.items()}
    bent = [joint for joint, sag in sags.items() if sag > SAG]
    if not bent:
        return []
    wanted = [rule.stiffness[joint] for joint in bent]
    return [
        f"the robot's weight bends {', '.join(bent)} by up to {max(sags.values()):.2g} rad under the file's gains, "
        f"which may be too soft to walk with; motors without gains would get {min(wanted):.3g} to {max(wanted):.3g}"
    ]
