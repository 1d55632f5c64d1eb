"""Where the IMU is: the site "imu", or the site of the file's gyro or accelerometer, in the frame of the base."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from sim.robots.derive import posed
from sim.robots.own.tree import Tree
from sim.robots.robot import Quaternion, Vector

TURNED = 1e-3
"""Turn in rad from which an IMU's axes are not the base's."""


@dataclass(frozen=True)
class Imu:
    """`position` in m in the base's frame, None for its origin; `orientation` of the axes in it, None for its own."""

    position: Vector | None = None
    orientation: Quaternion | None = None
    warnings: tuple[str, ...] = ()


def find_imu(tree: Tree) -> Imu:
    """The IMU of the robot, on the base or on a link that is fixed to it."""
    model = tree.model
    sites = _sites(tree)
    if not sites:
        return Imu()
    fixed = [s for s in sites if model.body_weldid[model.site_bodyid[s]] == model.body_weldid[tree.base]]
    if not fixed:
        body = tree.name(int(model.site_bodyid[sites[0]]))
        return Imu(warnings=(f"the IMU is on {body}, which moves against the base; here it is in the base's origin",))
    site = fixed[0]
    others = [str(model.site(s).name) for s in sites if s != site]
    more = (f"of its IMUs the one at {model.site(site).name} is kept, not {', '.join(others)}",) if others else ()
    data = posed(model, {})
    axes = data.xmat[tree.base].reshape(3, 3)
    x, y, z = (float(value) for value in (data.site_xpos[site] - data.xpos[tree.base]) @ axes)
    turn = np.zeros(4)
    mujoco.mju_mat2Quat(turn, (axes.T @ data.site_xmat[site].reshape(3, 3)).ravel())
    w, i, j, k = (float(value) for value in turn)
    angle = 2.0 * float(np.arccos(min(1.0, abs(w))))
    if angle < TURNED:
        return Imu((x, y, z), warnings=more)
    said = f"the IMU is turned by {angle:.3g} rad from the base (w x y z {w:.4g} {i:.4g} {j:.4g} {k:.4g})"
    return Imu((x, y, z), (w, i, j, k), (f"{said}: the policy takes its own readings and turns them", *more))


def _sites(tree: Tree) -> list[int]:
    """The robot's site "imu" or, without one, those of its gyros and accelerometers."""
    model, kinds = tree.model, (int(mujoco.mjtSensor.mjSENS_GYRO), int(mujoco.mjtSensor.mjSENS_ACCELEROMETER))
    own = [s for s in range(model.nsite) if int(model.site_bodyid[s]) in tree.robot]
    named = [s for s in own if model.site(s).name == "imu"]
    measuring = {int(of) for kind, of in zip(model.sensor_type, model.sensor_objid, strict=True) if int(kind) in kinds}
    return named or [s for s in own if s in measuring]
