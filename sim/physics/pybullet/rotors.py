"""Rotor inertia (MuJoCo's armature), which Bullet does not have, as a joint torque.

A geared rotor adds its inertia A to the diagonal of the mass matrix M: (M + A) a = tau + r, where r is the sum of
gravity, contacts and joint limits. Bullet solves M a = tau' + r, so tau' = tau - A a gives it the right
acceleration. What r was in the last step follows from what Bullet did then, r = M a_last - tau'_last, and with it
a = (M + A)^-1 (tau + M a_last - tau'_last): the rotor's torque is one step of Bullet late in r, and in nothing else.

In a contact that lasts, r is the contact's answer to tau'. With N = J M^-1 J' and K = J (M + A)^-1 J' of the contact's
Jacobian J, its error shrinks by I - N^-1 K from step to step, whose eigenvalues lie in [0, 1) for any A.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Rotors:
    """The rotors of one world, stepped along with it every `dt` s."""

    def __init__(self, model: mujoco.MjModel, dt: float) -> None:
        self.present = bool(model.dof_armature.any())
        self._model = model
        self._data = mujoco.MjData(model)
        self._armature: Array = model.dof_armature.copy()
        self._rest = np.zeros(model.nv)
        self._predicted = np.zeros(model.nv)
        self._dt = dt
        self._velocity = np.zeros(model.nv)
        self._applied = np.zeros(model.nv)
        self._fresh = True

    def restart(self) -> None:
        """Forget the last step, because the state has been set."""
        self._fresh = True

    def correct(self, qpos: Array, qvel: Array, force: Array) -> Array:
        """The joint forces [nv] to give to Bullet so that the robot moves as under `force` with its rotors."""
        if not self.present:
            return force
        model, data, rest = self._model, self._data, self._rest
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_crb(model, data)
        mujoco.mj_factorM(model, data)
        if self._fresh:
            # There was no last step: gravity and velocity-dependent forces are known, contact forces are not.
            data.qvel[:] = qvel
            mujoco.mj_comVel(model, data)
            mujoco.mj_rne(model, data, 0, rest)
            np.negative(rest, out=rest)
        else:
            last = (qvel - self._velocity) / self._dt
            mujoco.mj_mulM(model, data, rest, last)  # MuJoCo's own mass matrix is M + A.
            rest -= self._armature * last + self._applied
        rest += force
        mujoco.mj_solveM(model, data, self._predicted[None], rest[None])
        applied = force - self._armature * self._predicted
        self._fresh = False
        self._velocity[:] = qvel
        self._applied[:] = applied
        return applied
