"""How short a step of physics a robot needs: contacts are solved as if nothing damped the joints within a step."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from sim.robots.derive import posed

TIMESTEPS = (0.01, 0.005, 0.004, 0.002)
"""In s; each divides the control period of a walking robot."""
MOST = 12.5
"""Largest product of a step and a joint's damping, in units of the inertia that the joint has alone. With more, feet
sink into the ground and slip: of Spots, with 40 Nm s/rad at their knees, two of three fall under a scripted gait at
0.01 s, none at 0.004 s, where the velocity error is that at 0.002 s."""
ITERATIONS = 50
"""Most steps of the constraint solver. Feet with torsional and rolling friction may need more than ten; a solver that
has converged stops earlier."""
SWING = 2.0
"""Largest product of a step and the frequency in rad/s at which a motor's stiffness swings what its joint has alone.
With more a spring adds energy in every step, and robots fly apart."""


def timestep(
    model: mujoco.MjModel, pose: Mapping[str, float], stiffness: Mapping[str, float], damping: Mapping[str, float]
) -> float:
    """The longest of `TIMESTEPS` that suits the joints with a motor's `stiffness` in Nm/rad and `damping` in Nm s/rad
    each; `pose` holds every joint that moves."""
    data = posed(model, pose)
    whole = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, whole)
    dofs = [int(model.joint(joint).dofadr[0]) for joint in damping]
    alone = 1.0 / np.diag(np.linalg.inv(whole[np.ix_(dofs, dofs)]))
    rate = float(np.max((np.array(list(damping.values())) + model.dof_damping[dofs]) / alone))
    swing = float(np.sqrt(np.max(np.array([stiffness[joint] for joint in damping]) / alone)))
    fits = [step for step in TIMESTEPS if step * rate <= MOST and step * swing <= SWING]
    return fits[0] if fits else TIMESTEPS[-1]
