"""Soft actor-critic (Haarnoja et al., arXiv 1812.05905) with critics that read the simulator's truth.

`SacTrainer.iterate` is the algorithm. What differs from the paper, each for a reason:

- The critics read the privileged observation, the policy its sensors only, so nothing privileged can reach a robot.
- A time-out does not end the task: the value of the observation before the restart follows it.
- Observations are normalised with the moments of all observations; the replay memory holds them unnormalised.
- Critics may have layer normalisation (Ball et al., arXiv 2302.02948), which keeps values in bounds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from policies.graph.policy_graph import PolicyGraph
from policies.networks.normalizer import RunningNormalizer
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.descent import Descent, flatten
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.algorithms.replay_trainer import ReplayTrainer
from robo_rl.algorithms.sac.config import SacConfig as SacConfig
from robo_rl.algorithms.sac.networks import Critics, SacActor
from robo_rl.algorithms.sac.networks import make_policy as make_policy
from sim.task import Task

Rows = dict[str, Tensor]
"""Rows of the replay by column, and what followed them."""


class SacTrainer(ReplayTrainer):
    """SAC on one task. Bit-reproducible from (config, task, seed) on one CPU, also after a resume."""

    later_metrics = (
        *ReplayTrainer.later_metrics,
        "critic_loss", "value", "policy_loss", "entropy", "temperature", "skipped_updates",
    )  # fmt: skip

    def __init__(self, config: SacConfig, task: Task, seed: int, device: str = "cpu") -> None:
        self.config = config
        d, k = task.observation_dim, task.critic_dim
        widths = {
            "observation": d, "critic_observation": k, "action": task.action.dim, "reward": 1, "terminated": 1,
            "truncated": 1, "next_observation": d, "next_critic_observation": k,
        }  # fmt: skip
        super().__init__(config, task, seed, device, widths)
        self._critic_normalizer = RunningNormalizer(task.critic_dim).to(device)
        self._targets = copy.deepcopy(self.critics)
        self._target_weights = flatten(list(self._targets.parameters()))
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.initial_temperature), device=device))
        self._critic_descent: Descent[Rows] = Descent(self.critics.parameters(), config.critic_rate, self._processes)
        trained = [*self._actor.parameters(), self.log_temperature]
        self._actor_descent: Descent[Rows] = Descent(trained, config.actor_rate, self._processes)

    def build(self, task: Task) -> PolicyGraph:
        c = self.config
        self._actor = SacActor(c, task).to(self.device)
        inputs = task.critic_dim + task.action.dim
        self.critics = Critics(inputs, c.critic_hidden, c.critics, c.layer_norm).to(self.device)
        return self._actor.graph

    def iterate(self) -> dict[str, float]:
        """One iteration of SAC; returns its metrics. Raises TrainingDiverged when no gradient step was finite."""
        c, actor, critics, targets = self.config, self._actor, self.critics, self._targets
        see = self._critic_normalizer

        # Every world acts for some steps, with actions drawn from the policy; the replay stores them.
        reward = self._act()
        metrics = self._worlds.metrics(reward, self._processes)
        self.iteration += 1
        if self.steps <= c.warm_up:
            return metrics

        def critic_loss(rows: Rows) -> tuple[Tensor, Rows]:
            """The critics' squared error from the rewards earned and the target critics' value after them."""
            with torch.no_grad():
                distribution = actor(rows["next_observation"])
                action, latent = distribution.sample(noise=rows["next_noise"])
                surprise = self.log_temperature.exp() * distribution.log_prob(action, latent)
                following = targets(see(rows["next_critic_observation"]), action).amin(0) - surprise
                goal = rows["earned"] + rows["discount"] * following
            value = critics(see(rows["critic_observation"]), rows["action"])
            loss = ((value - goal).square() * rows["finite"]).mean(1).sum()
            return loss, {"critic_loss": loss.detach(), "value": value.detach().mean()}

        def actor_loss(rows: Rows) -> tuple[Tensor, Rows]:
            """Actions of high value and of high entropy; the temperature that keeps the entropy at its target."""
            distribution = actor(rows["observation"])
            action, latent = distribution.sample(noise=rows["noise"])
            log_probability = distribution.log_prob(action, latent)
            value = critics(see(rows["critic_observation"]), action).amin(0)
            temperature = self.log_temperature.exp()
            policy_loss = ((temperature.detach() * log_probability - value) * rows["finite"]).mean()
            missing = (log_probability.detach() + c.target_entropy * action.shape[-1]) * rows["finite"]
            loss = policy_loss - self.log_temperature * missing.mean()
            entropy = -log_probability.detach().mean()
            return loss, {
                "policy_loss": policy_loss.detach(), "entropy": entropy, "temperature": temperature.detach(),
            }  # fmt: skip

        # Gradient steps on rows of the replay: critics, policy and temperature, and the targets follow.
        sums: dict[str, float] = {}
        done = 0
        for _ in range(c.updates):
            rows = self._rows()
            found: dict[str, float] = {}
            for descent, loss in ((self._critic_descent, critic_loss), (self._actor_descent, actor_loss)):
                gradient, parts, fault = descent.gradient(loss, [rows], [c.batch])
                if fault:
                    break
                descent.step(gradient, parts.pop("gradient_norm"), c.max_gradient_norm)
                found |= parts
            else:
                with torch.no_grad():
                    self._target_weights.lerp_(self._critic_descent.weights, c.target_rate)
                for name, number in found.items():
                    sums[name] = sums.get(name, 0.0) + number
                done += 1
        if done == 0:
            raise TrainingDiverged(f"no gradient of iteration {self.iteration} was finite ({fault}); lower critic_rate")
        metrics |= {name: number / done for name, number in sums.items()}
        return {**metrics, "skipped_updates": float(c.updates - done)}

    # ---- what the iteration is made of ------------------------------------------------------------------------------

    @torch.no_grad()
    def _act(self) -> Tensor:
        """Act for `steps` steps, at random while warming up; the mean reward of a step."""
        c, graph, worlds, blocks = self.config, self.graph, self._worlds, self._blocks
        n, total = c.num_worlds, torch.zeros((), dtype=torch.float64, device=self.device)
        observation, privileged = self._observe(worlds.sensors, worlds.truth, worlds.state)
        for _ in range(c.steps):
            self._actor.normalizer.update(observation)
            self._critic_normalizer.update(privileged)
            noise = blocks.normal(n, graph.action.dim)
            if self.steps < c.warm_up:
                # The error function turns normal numbers into uniform ones.
                action = torch.erf(noise / math.sqrt(2.0))
            else:
                action, _ = self._actor(observation).sample(noise=noise)
            commands, following = graph.apply_action(action, worlds.sensors, worlds.state)
            step = blocks.step(commands)
            # The observation after the action, also where the next step begins with a restart.
            after, after_privileged = self._observe(step.terminal_sensors, step.terminal_truth, following)
            self.replay.add(
                observation=observation, critic_observation=privileged, action=action,
                reward=c.reward_scale * step.reward, terminated=step.terminated, truncated=step.truncated,
                next_observation=after, next_critic_observation=after_privileged,
            )  # fmt: skip
            worlds.settle(step, following)
            restarted = bool((step.terminated | step.truncated).any())
            observation, privileged = (
                self._observe(worlds.sensors, worlds.truth, worlds.state) if restarted else (after, after_privileged)
            )
            total += step.reward.double().mean()
            self.steps += c.num_worlds
        return total / c.steps

    def _observe(self, sensors: Sensors, truth: Truth, state: State) -> tuple[Tensor, Tensor]:
        """The observations of the policy [N, D] and of the critics [N, K], before the normalisers."""
        return self.graph.observe(sensors, state), self._blocks.critic_observation(truth)

    def _rows(self) -> Rows:
        """Rows drawn from the replay, what followed each over `lookahead` steps, and noise for two actions."""
        c, replay = self.config, self.replay
        steps, worlds = replay.draw(c.batch, self._random)
        ahead = replay.ahead(steps, worlds, c.lookahead, c.discount, ends=("terminated", "truncated"))
        first, last = replay.read(steps, worlds), replay.read(ahead.last, worlds)
        rows = {name: first[name] for name in ("observation", "critic_observation", "action")}
        rows |= {name: last[name] for name in ("next_observation", "next_critic_observation")}
        noise = torch.randn(2, c.batch, self.graph.action.dim, generator=self._random)
        rows |= {
            "earned": ahead.reward, "discount": ahead.discount * (1.0 - last["terminated"].squeeze(-1)),
            "finite": ahead.finite.float(), "noise": noise[0], "next_noise": noise[1],
        }  # fmt: skip
        return {name: value.to(self.device) for name, value in rows.items()}

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "spread": self._actor.spread.state_dict(),
            "critics": self.critics.state_dict(),
            "targets": self._targets.state_dict(),
            "critic_normalizer": self._critic_normalizer.state_dict(),
            "log_temperature": self.log_temperature.detach().clone(),
            "optimizers": [descent.optimizer.state_dict() for descent in (self._actor_descent, self._critic_descent)],
            "blocks": self._worlds.snapshot(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._actor.spread.load_state_dict(state["spread"])
        self.critics.load_state_dict(state["critics"])
        self._targets.load_state_dict(state["targets"])
        self._critic_normalizer.load_state_dict(state["critic_normalizer"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
        for descent, saved in zip((self._actor_descent, self._critic_descent), state["optimizers"], strict=True):
            descent.optimizer.load_state_dict(saved)
        self._worlds.restore(state["blocks"])
