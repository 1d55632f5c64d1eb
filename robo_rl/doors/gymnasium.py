"""Our tasks as gymnasium environments: `gymnasium.make` for one robot, `gymnasium.make_vec` for N robots.

Importing this module registers every task, as `robo_rl/TASK-v0`:

    import robo_rl.doors.gymnasium
    gymnasium.make("robo_rl/crazyflie-hover-v0")
    gymnasium.make_vec("robo_rl/crazyflie-hover-v0", num_envs=1024)

To let gymnasium import it: `gymnasium.make("robo_rl.doors.gymnasium:robo_rl/TASK-v0")`.

Observations [D] and actions [A] are those of the task's own terms, float32; an action of 0 is the middle of its range.
A seed given to `reset` determines all that follows, for the same number of robots.
"""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from policies.errors import UserError
from robo_rl.doors.driver import LIMIT, Driver, action_bounds
from robo_rl.training.config import MAX_SEED
from sim.task import Task
from sim.tasks import TASKS, find_task

NAMESPACE = "robo_rl"

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Masks = NDArray[np.bool_]
Space = gymnasium.Space[Floats]


def register() -> None:
    """Register every task that is not registered yet."""
    for name in TASKS:
        identifier = f"{NAMESPACE}/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                id=identifier,
                entry_point="robo_rl.doors.gymnasium:RobotEnv",
                vector_entry_point="robo_rl.doors.gymnasium:RobotVectorEnv",
                # Tasks end their episodes themselves; gymnasium's wrapper would count the steps again.
                max_episode_steps=None,
                kwargs={"task": name},
            )


class RobotEnv(gymnasium.Env[Floats, Floats]):
    """One robot of a task. Truncation is the task's time limit, termination an end such as a crash."""

    metadata = {"render_modes": []}  # noqa: RUF012 (gymnasium's own convention)

    def __init__(
        self,
        task: str | Task,
        *,
        robot: str = "",
        randomized: bool = True,
        imperfections: float = 1.0,
        device: str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        """`robot` names another parameter set, `imperfections` scales noise, disturbances and randomization: 0 is the
        nominal world. Raises UserError for an unknown task or any render mode: there is none.
        """
        self._worlds = _Worlds(task, 1, robot, randomized, imperfections, device, render_mode)
        self.observation_space, self.action_space = _spaces(self._worlds.task)
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        super().reset(seed=seed)
        observation = self._worlds.reset(seed, self.np_random)
        return observation[0], {}

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Run one control period. At the end of an episode the observation is its last one; call `reset` next."""
        now = self._worlds.driver.step(self._worlds.tensor(np.asarray(action)[None]))
        terminated, truncated = bool(now.terminated[0]), bool(now.truncated[0])
        row = now.final_observation if terminated or truncated else now.observation
        return _array(row)[0], float(now.reward[0]), terminated, truncated, {}


class RobotVectorEnv(VectorEnv[Floats, Floats, NDArray[Any]]):
    """N robots of a task, stepped together. A robot whose episode ends restarts in the same step.

    `infos["final_obs"]` then has its last observation (an object array, None for the others), and
    `infos["_final_obs"]` marks these robots; `final_info`, which gymnasium requires, is empty.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 (gymnasium's convention)

    def __init__(
        self,
        num_envs: int = 1,
        task: str | Task = "",
        *,
        robot: str = "",
        randomized: bool = True,
        imperfections: float = 1.0,
        device: str = "cpu",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        """See RobotEnv. Raises UserError for fewer than one robot."""
        if num_envs < 1:
            raise UserError(f"num_envs must be at least 1, got {num_envs}")
        self.num_envs = num_envs
        self._worlds = _Worlds(task, num_envs, robot, randomized, imperfections, device, render_mode)
        if max_episode_steps is not None:
            steps = self._worlds.task.episode_steps
            raise UserError(f"episodes of {self._worlds.task.name} last {steps} steps; leave max_episode_steps out")
        self.single_observation_space, self.single_action_space = _spaces(self._worlds.task)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = render_mode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Restart every robot; returns observations [N, D]. One seed determines all of them."""
        super().reset(seed=seed)
        return self._worlds.reset(seed, self.np_random), {}

    def step(self, actions: Floats) -> tuple[Floats, Doubles, Masks, Masks, dict[str, Any]]:
        """Observations [N, D] after the restarts, rewards [N], terminated [N], truncated [N] and infos."""
        now = self._worlds.driver.step(self._worlds.tensor(np.asarray(actions)))
        infos: dict[str, Any] = {}
        if len(now.finished):
            mask = np.zeros(self.num_envs, dtype=np.bool_)
            ids = now.finished.cpu().numpy()
            mask[ids] = True
            last = np.full(self.num_envs, None, dtype=object)
            for world, row in zip(ids, _array(now.final_observation), strict=True):
                last[world] = row
            infos = {"final_obs": last, "_final_obs": mask, "final_info": {}, "_final_info": mask.copy()}
        reward = now.reward.cpu().numpy().astype(np.float64)
        return (
            _array(now.observation), reward, now.terminated.cpu().numpy().copy(), now.truncated.cpu().numpy().copy(),
            infos,
        )  # fmt: skip


class _Worlds:
    """A driver, built at the first reset, and again at each reset with a seed."""

    def __init__(
        self, task: str | Task, num_worlds: int, robot: str, randomized: bool, imperfections: float, device: str,
        render_mode: str | None,
    ) -> None:  # fmt: skip
        if render_mode is not None:
            raise UserError(f"there is no render_mode {render_mode!r}, nor any other; `robo-rl play` shows a policy")
        self.task = find_task(task) if isinstance(task, str) else task
        self._num_worlds = num_worlds
        self._device = device
        self._settings: dict[str, Any] = {"robot": robot, "randomized": randomized, "imperfections": imperfections}
        self._driver: Driver | None = None

    @property
    def driver(self) -> Driver:
        if self._driver is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        return self._driver

    def reset(self, seed: int | None, random: np.random.Generator) -> Floats:
        if seed is not None or self._driver is None:
            self._driver = None  # Free the old worlds before building new ones.
            chosen = int(random.integers(MAX_SEED + 1)) if seed is None else seed
            environment = self.task.make_environment(self._num_worlds, chosen, self._device, **self._settings)
            self._driver = Driver(self.task, environment)
        return _array(self._driver.reset()[0])

    def tensor(self, action: NDArray[Any]) -> Tensor:
        expected = (self._num_worlds, self.task.action.dim)
        if action.shape != expected:
            raise UserError(f"actions of {self.task.name} have the shape {expected}, got {action.shape}")
        return torch.as_tensor(action, dtype=torch.float32).to(self._device)


def _spaces(task: Task) -> tuple[Space, Space]:
    """The spaces of one robot's observation and action."""
    low, high = (bound.numpy() for bound in action_bounds(task))
    observation = Box(-LIMIT, LIMIT, (task.observation_dim,), np.float32)
    return cast(Space, observation), cast(Space, Box(low, high, dtype=np.float32))


def _array(values: Tensor) -> Floats:
    """A copy, because callers may keep it."""
    return values.detach().cpu().numpy().astype(np.float32, copy=True)


register()
