"""A task as a `VecEnv` of rsl_rl 5.5, whose own runner trains it unchanged.

    from robo_rl.doors.rsl_rl import RslRlEnv, policy_graph
    from rsl_rl.runners import OnPolicyRunner

    env = RslRlEnv("crazyflie-hover", num_worlds=1024, seed=0)
    runner = OnPolicyRunner(env, {..., "obs_groups": {"actor": ["policy"], "critic": ["critic"]}}, log_dir, "cpu")
    runner.learn(300, init_at_random_ep_len=True)
    graph = policy_graph(runner, env.task)  # to evaluate, or to export as a bundle

Ref: https://github.com/leggedrobotics/rsl_rl, rsl_rl/env/vec_env.py, for the interface of a VecEnv.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.graph.symmetry import SignedPermutation, observation_mirror, truth_mirror
from robo_rl.doors.driver import Driver
from sim.environment import VectorEnvironment
from sim.task import Task
from sim.tasks import find_task


class RslRlEnv(VecEnv):
    """N worlds of a task with two observation groups: `policy` [N, D] and the privileged `critic` [N, C].

    Finished worlds restart in the same step; `extras["time_outs"]` [N] marks those that ended by the time limit.
    """

    def __init__(
        self,
        task: str | Task,
        num_worlds: int,
        seed: int,
        device: str = "cpu",
        *,
        robot: str = "",
        randomized: bool = True,
        imperfections: float = 1.0,
    ) -> None:
        """Raises UserError for an unknown task or an environment without episode ages (`init_at_random_ep_len`)."""
        self.task = find_task(task) if isinstance(task, str) else task
        environment = self.task.make_environment(
            num_worlds, seed, device, robot=robot, randomized=randomized, imperfections=imperfections
        )
        if not isinstance(environment, VectorEnvironment):
            raise UserError(f"the environment of {self.task.name} keeps no episode ages, which rsl_rl sets")
        self._environment = environment
        self._driver = Driver(self.task, environment)
        self._driver.reset()
        self.num_envs = num_worlds
        self.num_actions = self.task.action.dim
        self.max_episode_length = environment.episode_steps
        self.device = device
        self.cfg = {"task": self.task.name, "seed": seed, "randomized": randomized, "imperfections": imperfections}
        self.rewards, self.steps = 0.0, 0

    @property
    def episode_length_buf(self) -> Tensor:
        """Steps [N] of each world's current episode; the runner may set them."""
        return self._environment.age

    @episode_length_buf.setter
    def episode_length_buf(self, value: Tensor) -> None:
        self._environment.age.copy_(value)

    def get_observations(self) -> TensorDict:
        return self._observations(*self._driver.observe())

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Any]]:
        # The runner steps in inference mode, whose tensors can't be written outside of it.
        with torch.inference_mode(False), torch.no_grad():
            now = self._driver.step(actions.clone())
            self.rewards += float(now.reward.sum())
            self.steps += self.num_envs
            done = (now.terminated | now.truncated).long()
            extras: dict[str, Any] = {"time_outs": now.truncated}
            return self._observations(now.observation, now.critic), now.reward, done, extras

    @cached_property
    def mirrors(self) -> dict[str, SignedPermutation]:
        """The mirror of each observation group and of the action. Raises UserError for a robot without equal sides."""
        task, mirror = self.task, self.task.mirror
        if mirror is None:
            raise UserError(f"{task.name} has no mirror: its robot has no equal sides")
        return {
            "policy": observation_mirror(task.sensors, task.observation_terms, task.action, mirror),
            "critic": truth_mirror(self._environment.critic_observation, self._driver.truth, mirror),
            "action": mirror.action,
        }

    def _observations(self, policy: Tensor, critic: Tensor) -> TensorDict:
        return TensorDict({"policy": policy, "critic": critic}, batch_size=[self.num_envs], device=self.device)


def with_mirror_images(
    env: RslRlEnv, obs: TensorDict | None = None, actions: Tensor | None = None
) -> tuple[TensorDict | None, Tensor | None]:
    """Observations [B] and actions [B, A], each followed by its mirror image: [2 B].

    rsl_rl calls this as the `data_augmentation_func` of its `symmetry_cfg`.
    """
    mirrors = env.mirrors
    if obs is not None:
        images = {}
        for name, value in obs.items():
            assert isinstance(value, Tensor)
            images[name] = torch.cat((value, mirrors[name](value)))
        obs = TensorDict(images, batch_size=[2 * obs.batch_size[0]], device=obs.device)
    if actions is not None:
        actions = torch.cat((actions, mirrors["action"](actions)))
    return obs, actions


class _Actor(nn.Module):
    """The deterministic action of an rsl_rl actor for a plain observation [N, D]."""

    def __init__(self, actor: Any) -> None:
        super().__init__()
        self.normalizer, self.mlp = copy.deepcopy(actor.obs_normalizer), copy.deepcopy(actor.mlp)

    def forward(self, observation: Tensor) -> Tensor:
        action: Tensor = self.mlp(self.normalizer(observation))
        return action


def policy_graph(runner: OnPolicyRunner, task: Task) -> PolicyGraph:
    """The policy that an rsl_rl runner has learned, as a policy graph to evaluate, play and export like any other.

    Raises UserError unless the actor is rsl_rl's MLP, with a Gaussian or without a distribution.
    """
    actor: Any = runner.alg.get_policy()
    distribution = type(actor.distribution).__name__
    if actor.is_recurrent or distribution not in ("GaussianDistribution", "NoneType"):
        raise UserError(
            f"only an MLP with a Gaussian can become a policy graph, got {type(actor).__name__}, {distribution}"
        )
    return task.policy_graph(_Actor(actor)).eval()
