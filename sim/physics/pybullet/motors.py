"""Joint forces of an MjModel's actuators, springs, dampers and limits, for an engine that takes only forces."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LIMIT_STEPS = 4.0
"""Time constant of a joint limit's spring in Bullet's steps: the stiffest that an explicit integrator keeps stable."""


class Motors:
    """Forces at the joints as functions of command and state; `dt` s is the engine's step.

    An actuator gives gain * command + bias0 + bias1 * length + bias2 * speed within its force range, through its
    gear. A joint limit is a critically damped spring, stiffer than MuJoCo's.
    """

    def __init__(self, model: mujoco.MjModel, dt: float) -> None:
        joints = model.actuator_trnid[:, 0]
        self._gear: Array = model.actuator_gear[:, 0].copy()
        self._qpos = model.jnt_qposadr[joints].astype(np.intp)
        self._dof = model.jnt_dofadr[joints].astype(np.intp)
        self._gain: Array = model.actuator_gainprm[:, 0].copy()
        affine = model.actuator_biastype == int(mujoco.mjtBias.mjBIAS_AFFINE)
        self._bias: Array = np.where(affine[:, None], model.actuator_biasprm[:, :3], 0.0)
        self._control = _range(model.actuator_ctrllimited, model.actuator_ctrlrange)
        self._force = _range(model.actuator_forcelimited, model.actuator_forcerange)
        self._damping: Array = model.dof_damping.copy()
        self._springs(model)
        self._limits(model, dt)

    def _springs(self, model: mujoco.MjModel) -> None:
        sprung = np.flatnonzero(model.jnt_stiffness)
        self._sprung_qpos = model.jnt_qposadr[sprung].astype(np.intp)
        self._sprung_dof = model.jnt_dofadr[sprung].astype(np.intp)
        self._stiffness: Array = model.jnt_stiffness[sprung].copy()
        self._rest: Array = model.qpos_spring[self._sprung_qpos].copy()

    def _limits(self, model: mujoco.MjModel, dt: float) -> None:
        limited = np.flatnonzero(model.jnt_limited)
        self._limited_qpos = model.jnt_qposadr[limited].astype(np.intp)
        self._limited_dof = model.jnt_dofadr[limited].astype(np.intp)
        self._low, self._high = model.jnt_range[limited].T.copy()
        # The joint's own share of the inverse inertia, in the model's default pose.
        inertia = 1.0 / model.dof_invweight0[self._limited_dof]
        self._limit_stiffness: Array = inertia / (LIMIT_STEPS * dt) ** 2
        self._limit_damping: Array = 2.0 * inertia / (LIMIT_STEPS * dt)

    def actuator_force(self, command: Array, qpos: Array, qvel: Array) -> Array:
        """Forces [nu] in Nm or N of the actuators under `command` [nu]."""
        length, speed = qpos[self._qpos] * self._gear, qvel[self._dof] * self._gear
        limited = np.clip(command, *self._control)
        force = self._gain * limited + self._bias[:, 0] + self._bias[:, 1] * length + self._bias[:, 2] * speed
        clipped: Array = np.clip(force, *self._force)
        return clipped

    def joint_force(self, actuator: Array, qpos: Array, qvel: Array) -> Array:
        """Generalised forces [nv] of actuators [nu], springs, dampers and limits."""
        force = -self._damping * qvel
        np.add.at(force, self._dof, actuator * self._gear)
        if len(self._sprung_dof):
            force[self._sprung_dof] -= self._stiffness * (qpos[self._sprung_qpos] - self._rest)
        q = qpos[self._limited_qpos]
        beyond = np.minimum(q - self._low, 0.0) + np.maximum(q - self._high, 0.0)
        if beyond.any():
            v = qvel[self._limited_dof]
            push = -self._limit_stiffness * beyond - self._limit_damping * v
            # A limit pushes back into the range; it never pulls.
            force[self._limited_dof] += np.where(beyond > 0.0, np.minimum(push, 0.0), 0.0)
            force[self._limited_dof] += np.where(beyond < 0.0, np.maximum(push, 0.0), 0.0)
        return force


def _range(limited: NDArray[np.generic], limits: Array) -> tuple[Array, Array]:
    low, high = limits.T
    on = limited.astype(bool)
    return np.where(on, low, -np.inf), np.where(on, high, np.inf)
