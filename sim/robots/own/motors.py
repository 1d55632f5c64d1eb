"""Gains and torque limits of joints, from all actuators on them and from the joints' own limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.robots.own.joints import acts_on_joint

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Drive:
    """What the file says of a joint's motor; None where it says nothing, and in a few words where each is from."""

    stiffness: float | None = None
    """Nm/rad, or N/m for a slide."""
    damping: float | None = None
    torque: float | None = None
    """The least of all limits, in both directions, Nm or N."""
    gains_from: str = ""
    torque_from: str = ""
    warnings: tuple[str, ...] = ()


def drive(model: mujoco.MjModel, joint: str) -> Drive:
    """The sum of all actuators on a joint, at most what the joint takes.

    An actuator gives stiffness and damping as far as its force depends on the joint's position and speed.
    """
    j = int(model.joint(joint).id)
    parts = [_Part(model, a) for a in range(model.nu) if acts_on_joint(model, a) and model.actuator_trnid[a, 0] == j]
    names = " and ".join(part.name for part in parts)
    stiffness = sum(part.stiffness for part in parts)
    damping = sum(part.damping for part in parts)
    limits = {}
    if parts and all(part.limit is not None for part in parts):
        limits[f"actuator {names}"] = sum(part.limit or 0.0 for part in parts)
    warnings = [warning for part in parts for warning in part.warnings]
    if model.jnt_actfrclimited[j]:
        limits["the joint's own range"] = _least(model.jnt_actfrcrange[j])
        if _lopsided(model.jnt_actfrcrange[j]):
            warnings.append(_narrowed(f"joint {joint}", model.jnt_actfrcrange[j]))
    torque = min(limits.values()) if limits else None
    return Drive(
        stiffness if stiffness > 0.0 else None,
        damping if damping > 0.0 or (stiffness > 0.0 and _damped(model, j)) else None,
        torque,
        f"actuator {names}" if stiffness > 0.0 else "",
        min(limits, key=lambda name: limits[name]) if limits else "",
        tuple(warnings),
    )


def left_out(model: mujoco.MjModel, joints: Sequence[str]) -> list[str]:
    """A warning about actuators that act on something else than `joints`, and so have no motor of ours."""
    known = {int(model.joint(joint).id) for joint in joints}
    others = [
        str(model.actuator(a).name) or f"number {a}"
        for a in range(model.nu)
        if not (acts_on_joint(model, a) and int(model.actuator_trnid[a, 0]) in known)
    ]
    heavy = [str(model.actuator(a).name) or f"number {a}" for a in range(model.nu) if model.actuator_armature[a]]
    lines = [f"left out, because they act on none of its joints: actuators {', '.join(others)}"] if others else []
    if heavy:
        lines.append(f"the armature of actuators {', '.join(heavy)} is not kept; write it to their joints")
    return lines


class _Part:
    """One actuator's share."""

    def __init__(self, model: mujoco.MjModel, a: int) -> None:
        gear = float(model.actuator_gear[a, 0])
        gain, bias = model.actuator_gainprm[a], model.actuator_biasprm[a]
        affine = model.actuator_biastype[a] == mujoco.mjtBias.mjBIAS_AFFINE
        plain = model.actuator_gaintype[a] == mujoco.mjtGain.mjGAIN_FIXED
        self.name = str(model.actuator(a).name) or f"number {a}"
        self.stiffness = max(0.0, -float(bias[1])) * gear**2 if affine else 0.0
        self.damping = max(0.0, -float(bias[2])) * gear**2 if affine else 0.0
        self.warnings: list[str] = []
        limits = []
        if model.actuator_forcelimited[a]:
            limits.append(_least(model.actuator_forcerange[a]) * abs(gear))
            if _lopsided(model.actuator_forcerange[a]):
                self.warnings.append(_narrowed(f"actuator {self.name}", model.actuator_forcerange[a]))
        # The command of a torque motor is a force; that of a servo is a position or speed.
        if plain and not affine and model.actuator_ctrllimited[a]:
            limits.append(_least(model.actuator_ctrlrange[a]) * abs(float(gain[0]) * gear))
            if _lopsided(model.actuator_ctrlrange[a]):
                self.warnings.append(_narrowed(f"actuator {self.name}", model.actuator_ctrlrange[a]))
        self.limit = min(limits) if limits else None
        if not plain or model.actuator_dyntype[a] != mujoco.mjtDyn.mjDYN_NONE:
            self.warnings.append(f"actuator {self.name} becomes a plain motor: its own dynamics are not kept")


def _least(span: Array) -> float:
    """The largest force that a range has in both directions."""
    return max(0.0, min(-float(span[0]), float(span[1])))


def _lopsided(span: Array) -> bool:
    return not np.isclose(-span[0], span[1])


def _narrowed(owner: str, span: Array) -> str:
    return f"{owner} gives {span[0]:g} to {span[1]:g}: a motor of ours gives the lesser of both, {_least(span):g}"


def _damped(model: mujoco.MjModel, joint: int) -> bool:
    """Whether the joint has friction of its own, so that its servo need not damp it."""
    dof = int(model.jnt_dofadr[joint])
    return bool(model.dof_damping[dof] > 0.0 or model.dof_frictionloss[dof] > 0.0)
