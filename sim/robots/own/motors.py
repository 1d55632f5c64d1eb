"""Gains and torque limits of joints, from all actuators on them and from the joints' own limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

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
    lopsided: tuple[tuple[str, float, float], ...] = ()
    """Ranges that differ by direction: of what, and from where to where in Nm or N."""


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
    lopsided = [span for part in parts for span in part.lopsided]
    if model.jnt_actfrclimited[j]:
        limits["the joint's own range"] = _least(model.jnt_actfrcrange[j])
        lopsided += _lopsided(f"joint {joint}", model.jnt_actfrcrange[j])
    torque = min(limits.values()) if limits else 0.0
    return Drive(
        stiffness if stiffness > 0.0 else None,
        damping if damping > 0.0 or (stiffness > 0.0 and _damped(model, j)) else None,
        torque if torque > 0.0 else None,
        f"actuator {names}" if stiffness > 0.0 else "",
        min(limits, key=lambda name: limits[name]) if limits else "",
        tuple(warning for part in parts for warning in part.warnings),
        tuple(lopsided),
    )


def narrowed(drives: Iterable[Drive]) -> list[str]:
    """A line for each range that differs by direction, with all that have it."""
    owners: dict[tuple[float, float], list[str]] = {}
    for owner, low, high in (span for drive in drives for span in drive.lopsided):
        owners.setdefault((low, high), []).append(owner)
    return [
        f"{', '.join(names)}: {low:g} to {high:g}; a motor here gives the lesser of both, {_least((low, high)):g}"
        for (low, high), names in owners.items()
    ]


def without_disabled(spec: Any) -> list[str]:
    """Delete the actuators in groups that the file's options switch off; a line that names them."""
    off = [actuator for actuator in spec.actuators if int(spec.option.disableactuator) >> actuator.group & 1]
    names = [actuator.name or f"on {actuator.target}" for actuator in off]
    for actuator in off:
        spec.delete(actuator)
    return [f"left out, because the file's options switch them off: actuators {', '.join(names)}"] if off else []


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
        self.lopsided: list[tuple[str, float, float]] = []
        limits = []
        if model.actuator_forcelimited[a]:
            limits.append(_least(model.actuator_forcerange[a]) * abs(gear))
            self.lopsided += _lopsided(f"actuator {self.name}", model.actuator_forcerange[a])
        # The command of a torque motor is a force; that of a servo is a position or speed.
        if plain and not affine and model.actuator_ctrllimited[a]:
            limits.append(_least(model.actuator_ctrlrange[a]) * abs(float(gain[0]) * gear))
            self.lopsided += _lopsided(f"actuator {self.name}", model.actuator_ctrlrange[a])
        self.limit = min(limits) if limits else None
        if not plain or model.actuator_dyntype[a] != mujoco.mjtDyn.mjDYN_NONE:
            self.warnings.append(f"actuator {self.name} becomes a plain motor: its own dynamics are not kept")


def _least(span: Sequence[float] | Array) -> float:
    """The largest force that a range has in both directions."""
    return max(0.0, min(-float(span[0]), float(span[1])))


def _lopsided(owner: str, span: Array) -> list[tuple[str, float, float]]:
    return [] if np.isclose(-span[0], span[1]) else [(owner, float(span[0]), float(span[1]))]


def _damped(model: mujoco.MjModel, joint: int) -> bool:
    """Whether the joint has friction of its own, so that its servo need not damp it."""
    dof = int(model.jnt_dofadr[joint])
    return bool(model.dof_damping[dof] > 0.0 or model.dof_frictionloss[dof] > 0.0)
