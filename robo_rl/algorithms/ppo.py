"""Proximal policy optimisation (arXiv 1707.06347) with an asymmetric critic, readable from top to bottom.

One iteration: N worlds fly T steps with the current policy; advantages come from GAE (arXiv 1506.02438); a few
epochs of clipped updates follow. Three things differ from the textbook, each for a reason:

- The critic reads the simulator's truth, the policy its sensors only, so nothing privileged can reach a robot.
- A time-out is no end of the task: its last value is bootstrapped from the observation before the reset.
- The critic's output is rescaled to the returns' mean and spread (PopArt, arXiv 1602.07714): one step size fits any
  reward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from policies.distributions import ActionDistribution, ClippedGaussian, TanhGaussian, gaussian_kl
from policies.graph import PolicyGraph
from policies.networks import MLP, Activation
from policies.normalizer import RunningNormalizer
from policies.signals import Sensors, State, Truth
from robo_rl.algorithm import TrainingDiverged
from robo_rl.critic import Critic, update_from_finite
from robo_rl.validation import require, require_choice, require_widths
from sim.task import Task


@dataclass(frozen=True)
class PpoConfig:
    """Settings of PPO. One iteration takes num_worlds * rollout_steps environment steps."""

    num_worlds: int = 1024
    """Simulated robots that fly at once."""
    randomized: bool = True
    """Draw the robot's dynamics anew for every episode, where the task knows how."""
    iterations: int = 300
    """Rollouts with updates until training ends."""
    rollout_steps: int = 32
    """Steps of every world in a rollout."""
    epochs: int = 5
    """Passes over each rollout."""
    minibatches: int = 4
    """Parts that each pass splits the rollout into; one gradient step each."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    target_kl: float = 0.01
    """KL divergence per gradient step that the step size adapts to; 0 keeps the step size as it is."""
    discount: float = 0.99
    """Discount factor per step."""
    gae_lambda: float = 0.95
    """Decay of generalised advantage estimation: 0 trusts the critic, 1 the rollout."""
    clip: float = 0.2
    """Range of the probability ratio beyond which it earns nothing more."""
    value_clip: float = 0.0
    """Range in which the value may move in one update, in spreads of the return; 0 leaves it free."""
    value_coefficient: float = 1.0
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the entropy bonus."""
    max_gradient_norm: float = 1.0
    """Largest norm of the gradient of all weights together."""
    distribution: Literal["clipped", "squashed"] = "clipped"
    """How a Gaussian sample becomes an action in [-1, 1]: cut off, or through tanh."""
    initial_std: float = 0.5
    """Standard deviation of the normalised action at the start."""
    actor_hidden: tuple[int, ...] = (64, 64)
    """Widths of the policy's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critic's hidden layers."""
    activation: Activation = "tanh"
    """Activation of both networks."""

    def __post_init__(self) -> None:
        for field in ("num_worlds", "iterations", "rollout_steps", "epochs", "minibatches"):
            require(self, field, low=1)
        for field in ("learning_rate", "clip", "max_gradient_norm", "initial_std"):
            require(self, field, above=0.0)
        for field in ("target_kl", "value_clip", "value_coefficient", "entropy_coefficient"):
            require(self, field, low=0.0)
        require(self, "minibatches", high=self.num_worlds * self.rollout_steps)
        require(self, "discount", low=0.0, high=1.0)
        require(self, "gae_lambda", low=0.0, high=1.0)
        require_choice(self, "distribution", ("clipped", "squashed"))
        require_choice(self, "activation", ("tanh", "relu", "elu"))
        require_widths(self, "actor_hidden")
        require_widths(self, "critic_hidden")


@dataclass(frozen=True)
class Minibatch:
    """B steps of a rollout: [B, dim] or [B].

    `action` is what was executed and `latent` the Gaussian draw behind it; `mean` and `log_std` are the Gaussian's.
    """

    observation: Tensor
    critic_observation: Tensor
    action: Tensor
    latent: Tensor
    log_probability: Tensor
    mean: Tensor
    log_std: Tensor
    value: Tensor
    advantage: Tensor
    returns: Tensor


AuxiliaryLoss = Callable[[Minibatch, Tensor], tuple[Tensor, dict[str, float]]]
"""An added loss: (minibatch, the policy's deterministic actions [B, A], with gradient) -> (loss, metrics)."""


def generalised_advantages(
    reward: Tensor, value: Tensor, next_value: Tensor, done: Tensor, discount: float, decay: float
) -> Tensor:
    """Advantages [T, N]: the sum over k of (discount * decay)^k times the k-th temporal difference to come.

    `next_value` [T, N] is the value of what followed each step: 0 after a true end, that of the observation before the
    reset after a time-out. `done` [T, N] is true at both, and nothing is summed beyond it.
    """
    advantage = torch.zeros_like(reward)
    following = torch.zeros_like(reward[0])
    difference = reward + discount * next_value - value
    for t in range(reward.shape[0] - 1, -1, -1):
        following = difference[t] + discount * decay * torch.where(done[t], 0.0, following)
        advantage[t] = following
    return advantage


class PpoTrainer:
    """PPO on one task. `auxiliary` adds a loss to every minibatch, as distillation needs."""

    def __init__(
        self, config: PpoConfig, task: Task, seed: int, device: str = "cpu", auxiliary: AuxiliaryLoss | None = None
    ) -> None:
        self.config = config
        self.auxiliary = auxiliary
        self.iteration = 0
        self.steps = 0
        self.environment = task.make_environment(config.num_worlds, seed, device, randomized=config.randomized)
        with torch.random.fork_rng(devices=[]):
            # Weights are drawn on the CPU, so one seed gives one start on every device.
            torch.manual_seed(seed)
            squashed = config.distribution == "squashed"
            actor = MLP(task.observation_dim, config.actor_hidden, task.action.dim, config.activation, squashed)
            self.critic = Critic(task.critic_dim, config.critic_hidden, config.activation).to(device)
        self.graph: PolicyGraph = task.policy_graph(actor, RunningNormalizer(task.observation_dim)).to(device)
        self._mean_layers = actor.layers[:-1] if squashed else actor.layers
        self.log_std = nn.Parameter(torch.full((task.action.dim,), math.log(config.initial_std), device=device))
        self.parameters = [*self.graph.parameters(), self.log_std, *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.learning_rate)
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self._sensors, self._truth = self.environment.reset()
        self._state = self.graph.initial_state(config.num_worlds, device)
        self._episode_return = torch.zeros(config.num_worlds, device=device)
        self._episode_length = torch.zeros(config.num_worlds, device=device)

    @property
    def total_iterations(self) -> int:
        return self.config.iterations

    def iterate(self) -> dict[str, float]:
        """One rollout and the updates on it. Raises TrainingDiverged when every minibatch was non-finite."""
        rollout, metrics = self._roll_out()
        self.critic.rescale(rollout.returns)
        metrics.update(self._update(rollout))
        # Only now, so that the first update sees exactly the observations that the rollout's policy saw.
        update_from_finite(self.graph.normalizer, rollout.observation)
        update_from_finite(self.critic.normalizer, rollout.critic_observation)
        self.iteration += 1
        self.steps += self.config.num_worlds * self.config.rollout_steps
        return metrics

    # ---- the rollout -------------------------------------------------------------------------------------------

    def _distribution(self, observation: Tensor) -> ActionDistribution:
        mean = self._mean_layers(self.graph.normalizer(observation))
        kind = TanhGaussian if self.config.distribution == "squashed" else ClippedGaussian
        return kind(mean, self.log_std.expand_as(mean))

    @torch.no_grad()
    def _roll_out(self) -> tuple[Minibatch, dict[str, float]]:
        c = self.config
        rows: dict[str, list[Tensor]] = {
            name: []
            for name in (
                "observation",
                "critic_observation",
                "action",
                "latent",
                "log_probability",
                "mean",
                "log_std",
                "value",
                "reward",
                "done",
                "timeout",
            )
        }
        finished_return, finished_length, finished, crashed = 0.0, 0.0, 0, 0
        for _ in range(c.rollout_steps):
            observation = self.graph.observe(self._sensors, self._state)
            critic_observation = self.environment.critic_observation(self._truth)
            distribution = self._distribution(observation)
            action, latent = distribution.sample(self.generator)
            commands, state = self.graph.apply_action(action, self._sensors, self._state)
            step = self.environment.step(commands)
            done = step.terminated | step.truncated
            timeout_value = torch.zeros_like(step.reward)
            if bool(step.truncated.any()):
                terminal = self.critic(self.environment.critic_observation(step.terminal_truth))
                timeout_value = torch.where(step.truncated, terminal, timeout_value)
            for name, value in (
                ("observation", observation), ("critic_observation", critic_observation), ("action", action),
                ("latent", latent), ("log_probability", distribution.log_prob(action, latent)),
                ("mean", distribution.mean), ("log_std", distribution.log_std),
                ("value", self.critic(critic_observation)), ("reward", step.reward), ("done", done),
                ("timeout", timeout_value),
            ):  # fmt: skip
                rows[name].append(value)
            self._episode_return += step.reward
            self._episode_length += 1.0
            finished += int(done.sum())
            crashed += int(step.terminated.sum())
            finished_return += float(self._episode_return[done].sum())
            finished_length += float(self._episode_length[done].sum())
            self._episode_return[done] = 0.0
            self._episode_length[done] = 0.0
            self._sensors, self._truth = step.sensors, step.truth
            self._state = self.graph.reset_where(state, done)

        r = {name: torch.stack(values) for name, values in rows.items()}
        last_value = self.critic(self.environment.critic_observation(self._truth))
        next_value = torch.cat((r["value"][1:], last_value[None]))
        next_value = torch.where(r["done"], r["timeout"], next_value)
        advantage = generalised_advantages(r["reward"], r["value"], next_value, r["done"], c.discount, c.gae_lambda)
        metrics = {"reward": float(r["reward"].mean()), "episodes": float(finished)}
        if finished:
            metrics["episode_return"] = finished_return / finished
            metrics["episode_length"] = finished_length / finished
            metrics["terminated"] = crashed / finished
        flat = {name: r[name].flatten(0, 1) for name in Minibatch.__dataclass_fields__.keys() & r.keys()}
        rollout = Minibatch(
            **flat, advantage=_standardise(advantage.flatten()), returns=(advantage + r["value"]).flatten()
        )
        return rollout, metrics

    # ---- the update --------------------------------------------------------------------------------------------

    def _update(self, rollout: Minibatch) -> dict[str, float]:
        c = self.config
        size = rollout.advantage.shape[0]
        totals: dict[str, float] = {}
        skipped: dict[str, int] = {}
        done = 0
        for _ in range(c.epochs):
            order = torch.randperm(size, generator=self.generator, device=rollout.advantage.device)
            for part in order.chunk(c.minibatches):
                batch = Minibatch(**{name: value[part] for name, value in vars(rollout).items()})
                metrics, fault = self._gradient_step(batch)
                if fault:
                    skipped[fault] = skipped.get(fault, 0) + 1
                    continue
                done += 1
                for name, value in metrics.items():
                    totals[name] = totals.get(name, 0.0) + value
        if done == 0:
            causes = ", ".join(f"{name} in {count}" for name, count in skipped.items())
            raise TrainingDiverged(
                f"no minibatch of iteration {self.iteration} was finite ({causes}); lower learning_rate"
            )
        result = {name: value / done for name, value in totals.items()}
        result["skipped_minibatches"] = float(sum(skipped.values()))
        result.update({f"skipped_{name}": float(count) for name, count in skipped.items()})
        result["std"] = float(self.log_std.detach().exp().mean())
        result["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        return result

    def _gradient_step(self, batch: Minibatch) -> tuple[dict[str, float], str]:
        """One step of Adam: its metrics, or the name of the first thing that wasn't finite and no step."""
        c = self.config
        for name in ("observation", "critic_observation", "advantage", "returns"):
            if not bool(torch.isfinite(getattr(batch, name)).all()):
                return {}, name
        distribution = self._distribution(batch.observation)
        ratio = (distribution.log_prob(batch.action, batch.latent) - batch.log_probability).exp()
        clipped = ratio.clamp(1.0 - c.clip, 1.0 + c.clip)
        policy_loss = -torch.min(ratio * batch.advantage, clipped * batch.advantage).mean()
        value_loss = self._value_loss(batch)
        entropy = distribution.entropy(self.generator).mean()
        loss = policy_loss + c.value_coefficient * value_loss - c.entropy_coefficient * entropy
        metrics: dict[str, float] = {}
        if self.auxiliary is not None:
            auxiliary_loss, metrics = self.auxiliary(batch, distribution.deployed)
            loss = loss + auxiliary_loss
            if not bool(torch.isfinite(auxiliary_loss)):
                return {}, "auxiliary_loss"
        for name, value in (("policy_loss", policy_loss), ("value_loss", value_loss)):
            if not bool(torch.isfinite(value)):
                return {}, name
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, c.max_gradient_norm)
        if not bool(torch.isfinite(norm)):
            return {}, "gradient"
        with torch.no_grad():
            kl = float(gaussian_kl(batch.mean, batch.log_std, distribution.mean, distribution.log_std).mean())
        self._adapt_step_size(kl)
        self.optimizer.step()
        with torch.no_grad():
            # Below e^-5 the policy is deterministic; above 2 every action is cut off.
            self.log_std.clamp_(-5.0, math.log(2.0))
        metrics.update(
            policy_loss=float(policy_loss.detach()), value_loss=float(value_loss.detach()),
            entropy=float(entropy.detach()), kl=kl, gradient_norm=float(norm),
        )  # fmt: skip
        return metrics, ""

    def _value_loss(self, batch: Minibatch) -> Tensor:
        target = (batch.returns - self.critic.value_mean) / self.critic.value_std
        value = self.critic.normalised(batch.critic_observation)
        loss = (value - target).square()
        if self.config.value_clip > 0.0:
            old = (batch.value - self.critic.value_mean) / self.critic.value_std
            near = old + (value - old).clamp(-self.config.value_clip, self.config.value_clip)
            loss = torch.max(loss, (near - target).square())
        return loss.mean()

    def _adapt_step_size(self, kl: float) -> None:
        """Smaller steps when the policy moved more than twice the target, larger ones when less than half.

        Ref: rsl_rl's PPO (https://github.com/leggedrobotics/rsl_rl), the factors 2, 1/2 and 1.5.
        """
        target = self.config.target_kl
        if target == 0.0:
            return
        group = self.optimizer.param_groups[0]
        if kl > 2.0 * target:
            group["lr"] = max(1e-5, group["lr"] / 1.5)
        elif 0.0 < kl < 0.5 * target:
            group["lr"] = min(1e-2, group["lr"] * 1.5)

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self.graph.state_dict(),
            "critic": self.critic.state_dict(),
            "log_std": self.log_std.detach().clone(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "environment": self.environment.snapshot(),
            "sensors": dict(self._sensors),
            "truth": dict(self._truth),
            "policy_state": dict(self._state),
            "episode_return": self._episode_return.clone(),
            "episode_length": self._episode_length.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        device = self.log_std.device
        self.iteration, self.steps = state["iteration"], state["steps"]
        self.graph.load_state_dict(state["graph"])
        self.critic.load_state_dict(state["critic"])
        with torch.no_grad():
            self.log_std.copy_(state["log_std"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.environment.restore(state["environment"])
        self._sensors = Sensors({name: value.to(device) for name, value in state["sensors"].items()})
        self._truth = Truth({name: value.to(device) for name, value in state["truth"].items()})
        self._state = State({name: value.to(device) for name, value in state["policy_state"].items()})
        self._episode_return.copy_(state["episode_return"])
        self._episode_length.copy_(state["episode_length"])


def _standardise(advantage: Tensor) -> Tensor:
    """Mean 0 and spread 1 over the finite entries, so that one broken world can't blank the whole rollout."""
    finite = advantage[torch.isfinite(advantage)]
    if finite.numel() < 2:
        return advantage
    return (advantage - finite.mean()) / (finite.std() + 1e-8)
