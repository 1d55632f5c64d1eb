"""The drawn part of an environment: a model of the robot and its ground, and the robot's pose in each world."""

from __future__ import annotations

import copy
import math
from typing import Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from policies.signals import Truth
from robo_rl.view.quadrotor import quadrotor_model
from sim.task import Environment, Task

Floats = NDArray[np.float64]


class Stage(Protocol):
    """A model to draw, and its robot's pose in each world."""

    @property
    def model(self) -> mujoco.MjModel: ...
    @property
    def distance(self) -> float:
        """Distance in m from which a camera sees one robot well."""
        ...

    def pose(self, world: int, truth: Truth, data: mujoco.MjData) -> None:
        """Put the robot of `world` into `data`, kinematics included."""
        ...

    def base(self, data: mujoco.MjData) -> tuple[Floats, Floats]:
        """Position [3] in m and rotation [3, 3] from base to world of the robot in `data`."""
        ...


def find_stage(task: Task, environment: Environment, together: bool = False) -> Stage:
    """The stage of `environment`; with `together`, worlds that start at one place are drawn side by side.

    Raises UserError for a task whose robot can't be drawn.
    """
    scenario: Any = getattr(environment, "scenario", None)
    physics = getattr(scenario, "physics", None)
    if isinstance(getattr(physics, "model", None), mujoco.MjModel):
        return MujocoStage(physics, together)
    if {"position", "orientation"} <= {spec.name for spec in task.sensors}:
        return QuadrotorStage(environment.num_worlds if together else 1)
    raise UserError(f"{task.name} has no robot in space that could be drawn")


class MujocoStage:
    """A world that MuJoCo simulates, drawn with its own model."""

    def __init__(self, physics: Any, together: bool) -> None:
        self.model: mujoco.MjModel = copy.copy(physics.model)
        self._physics = physics
        free = np.flatnonzero(self.model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
        if not len(free):
            raise UserError("the robot has no floating base; only robots that have one can be drawn")
        self._body = int(self.model.jnt_bodyid[free[0]])
        self._at = int(self.model.jnt_qposadr[free[0]])
        flat = bool((self.model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).any())
        self._offsets = side_by_side(physics.num_worlds, 1.2 if together and flat else 0.0)
        self.distance = 1.1 + 2.2 * float(self.model.qpos0[self._at + 2])
        _dress(self.model, self._body)

    def pose(self, world: int, truth: Truth, data: mujoco.MjData) -> None:
        data.qpos[:] = self._physics.qpos[world].cpu().numpy()
        data.qpos[self._at : self._at + 2] += self._offsets[world]
        _place(self.model, data)

    def base(self, data: mujoco.MjData) -> tuple[Floats, Floats]:
        return data.xpos[self._body].copy(), data.xmat[self._body].reshape(3, 3).copy()


class QuadrotorStage:
    """A quadrotor that MuJoCo does not simulate, in its real size; the origin is drawn 0.7 m above the ground."""

    HEIGHT = 0.7

    def __init__(self, num_worlds: int) -> None:
        self.model = quadrotor_model()
        self.distance = 0.6
        self._offsets = side_by_side(num_worlds, 0.5)
        _dress(self.model, 1)

    def pose(self, world: int, truth: Truth, data: mujoco.MjData) -> None:
        data.qpos[0:3] = truth["position"][world].cpu().numpy()
        data.qpos[0:2] += self._offsets[world]
        data.qpos[2] += self.HEIGHT
        data.qpos[3:7] = truth["orientation"][world].cpu().numpy()
        target = truth["target_position"][world].cpu().numpy() if "target_position" in truth else np.zeros(3)
        data.mocap_pos[0] = target
        data.mocap_pos[0, 0:2] += self._offsets[world]
        data.mocap_pos[0, 2] += self.HEIGHT
        _place(self.model, data)

    def base(self, data: mujoco.MjData) -> tuple[Floats, Floats]:
        return data.qpos[0:3].copy(), data.xmat[1].reshape(3, 3).copy()


def side_by_side(count: int, spacing: float) -> Floats:
    """Positions [count, 2] in m in a square grid: the first is the origin, the others are left of and behind it."""
    columns = math.ceil(math.sqrt(count))
    return np.array([(-spacing * (i // columns), spacing * (i % columns)) for i in range(count)], dtype=np.float64)


def _place(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)


def _dress(model: mujoco.MjModel, body: int) -> None:
    """Set light, haze and shadows for films; the sun follows the robot, which keeps its shadow sharp."""
    visual, extent = model.vis, float(model.stat.extent)
    visual.quality.shadowsize = 2048
    visual.quality.offsamples = 4
    visual.rgba.haze = (0.9, 0.93, 0.96, 1.0)
    visual.map.znear, visual.map.zfar = 0.02 / extent, 80.0 / extent
    visual.map.shadowclip = 2.5 / extent
    for light in range(model.nlight):
        direction = model.light_dir[light] / np.linalg.norm(model.light_dir[light])
        model.light_mode[light] = mujoco.mjtCamLight.mjCAMLIGHT_TRACK
        model.light_bodyid[light] = body
        model.light_dir0[light] = direction
        model.light_pos0[light] = -8.0 * direction
