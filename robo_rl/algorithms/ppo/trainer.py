"""Proximal policy optimisation (arXiv 1707.06347) with an asymmetric critic.

`PpoTrainer.iterate` is the algorithm. What differs from the textbook, each for a reason:

- The critic reads the simulator's truth, the policy its sensors only, so nothing privileged can reach a robot. With
  `reads` "truth" the policy observes what the critic does, too: it is a teacher, of a type that nothing exports.
- A time-out does not end the task: its last value is bootstrapped from the observation before the reset.
- The critic's output is rescaled to the returns' mean and spread (PopArt, arXiv 1602.07714): one step size fits any
  reward.
- A robot with two equal sides learns from its mirror image, too (arXiv 2403.04359).
- Worlds, random draws and minibatches are divided into blocks (blocks.py), so that several processes learn what one
  would.
- What does not change during an update is done once before it: observations are normalised, targets scaled, mirror
  images made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.networks.distributions import gaussian_kl
from policies.networks.normalizer import RunningNormalizer
from policies.signals import Sensors, Truth
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.descent import Descent
from robo_rl.algorithms.ppo.actor import Actor, find_mirrors
from robo_rl.algorithms.ppo.actor import make_policy as make_policy
from robo_rl.algorithms.ppo.advantages import generalised_advantages
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.algorithms.ppo.extension import Extension
from robo_rl.algorithms.ppo.minibatch import Minibatch
from robo_rl.algorithms.ppo.minibatches import minibatches
from robo_rl.algorithms.ppo.moments import mean_and_spread
from robo_rl.algorithms.ppo.rollout import Collector
from robo_rl.algorithms.registry import Algorithm, TrainingDiverged
from robo_rl.algorithms.starting import start_from
from robo_rl.training import parallel
from sim.controllers.teacher import LearnedTeacher
from sim.task import Task

Start = tuple[Sensors, Truth]
"""The sensors and the truth of worlds that have just been reset."""


class PpoTrainer(Algorithm):
    """PPO on one task. `extension` makes, for its worlds and their start, what a method adds to it; `policy` makes the
    policy, or teacher, that is trained.

    In a group of processes (robo_rl/training/parallel.py) each one holds its share of the worlds, and all hold the
    same policy.
    Raises UserError when worlds and processes do not divide, or the task lacks the symmetry or the guide asked for.
    """

    def __init__(
        self,
        config: PpoConfig,
        task: Task,
        seed: int,
        device: str = "cpu",
        extension: Callable[[WorldBlocks, Start], Extension] = lambda blocks, first: Extension(),
        policy: Callable[[PpoConfig, Task], PolicyGraph | LearnedTeacher] = make_policy,
    ) -> None:
        self.config = config
        self.total_iterations = config.iterations
        self._processes = parallel.current()
        self._task_guide, self._guided = task.guide, task.observation_dim
        if config.imitation and task.guide is None:
            raise UserError(f"{task.name} has no guide to imitate; train it with imitation 0")
        blocks = WorldBlocks(task, config.num_worlds, config.blocks, seed, device, config.randomized, self._processes)
        first = blocks.reset()
        with torch.random.fork_rng(devices=[]):
            # Weights are drawn on the CPU, so one seed gives one start on every device and in every process.
            torch.manual_seed(seed)
            self._actor = Actor(config, task, policy(config, task), device)
            start_from(self._actor.graph, config.start_from)
            self.critic = Critic(task.critic_dim, config.critic_hidden, config.activation).to(device)
            self.extension = extension(blocks, first).to(device)
        self._mirrors = None
        if config.symmetry != "none":
            truth = Truth({name: value[: blocks.size] for name, value in first[1].items()})
            self._mirrors = find_mirrors(config, task, blocks.environments[0], truth)
        self.parameters: list[nn.Parameter] = [
            *self._actor.graph.parameters(), self._actor.log_std, *self.critic.parameters(),
            *self.extension.parameters(),
        ]  # fmt: skip
        """Everything that is trained."""
        self._descent: Descent[Minibatch] = Descent(
            self.parameters, config.learning_rate, self._processes, config.update_threads
        )
        self._blocks = blocks
        self._collector = Collector(
            blocks, first, self._actor, self.critic, self._mirrors, config.rollout_steps,
            config.symmetry in ("augment", "double"), self._processes, self.extension,
        )  # fmt: skip

    def iterate(self) -> dict[str, float]:
        """One iteration of PPO; returns its metrics. Raises TrainingDiverged when no minibatch was finite."""
        c, actor, critic = self.config, self._actor, self.critic
        frozen = self.iteration < c.critic_warmup
        guide = self._guide if self.iteration < c.imitation else None

        # N worlds act for T steps with the current policy.
        rollout = self._collector.collect(self.iteration)

        # How much better each action was than the critic expected, and the returns that it should have expected.
        value, following = self._collector.values(rollout)
        advantage = generalised_advantages(rollout.reward, value, following, rollout.done, c.discount, c.gae_lambda)
        critic.rescale(*mean_and_spread(advantage + value, self._processes))
        self._collector.complete(rollout, value, advantage)
        metrics = self._collector.metrics(rollout)

        def loss(batch: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
            """The loss of some rows, and its parts by name."""
            found: dict[str, Tensor] = {}
            means = actor.means(batch.observation, batch.past, batch.memory, batch.done)
            distribution = actor.distribution(means)
            expected = critic.of_normalised(batch.critic_observation)
            value_loss = (expected - batch.target).square()
            if c.value_clip > 0.0:
                near = batch.value + (expected - batch.value).clamp(-c.value_clip, c.value_clip)
                value_loss = torch.max(value_loss, (near - batch.target).square())
            value_loss = value_loss.mean()
            entropy = distribution.entropy(noise=batch.noise).mean()
            if frozen:
                policy_loss = torch.zeros_like(value_loss)
                total = c.value_coefficient * value_loss
            elif guide is None:
                ratio = (distribution.log_prob(batch.action, batch.latent) - batch.log_probability).exp()
                clipped = ratio.clamp(1.0 - c.clip, 1.0 + c.clip)
                policy_loss = -torch.min(ratio * batch.advantage, clipped * batch.advantage).mean()
                total = policy_loss + c.value_coefficient * value_loss - c.entropy_coefficient * entropy
            else:
                policy_loss = torch.zeros_like(value_loss)
                found["imitation"] = (means - guide(batch)).square().mean()
                total = c.imitation_coefficient * found["imitation"] + c.value_coefficient * value_loss
            if not frozen and (added := self.extension.loss(batch, means, actor)) is not None:
                found["auxiliary_loss"], own = added
                found |= own
                total = total + found["auxiliary_loss"]
            found |= {"policy_loss": policy_loss, "value_loss": value_loss}
            if not frozen and c.symmetry == "loss":
                found["symmetry_loss"] = self._symmetry_loss(batch, distribution.mean)
                total = total + c.symmetry_coefficient * found["symmetry_loss"]
            with torch.no_grad():
                kl = gaussian_kl(batch.mean, batch.log_std, distribution.mean, distribution.log_std)
            found |= {"entropy": entropy, "kl": (kl * batch.original).mean(), "originals": batch.original.mean()}
            return total, {name: value.detach() for name, value in found.items()}

        # A few epochs of minibatches, with one gradient step each; the step size follows how far the policy moved.
        sums: dict[str, float] = {}
        skipped: Counter[str] = Counter()
        done = 0
        count = c.minibatches if guide is None else max(c.minibatches, c.imitation_minibatches)
        for parts, fault in minibatches(c, rollout, actor, self._blocks, self._processes, count):
            if not fault:
                rows = [part.advantage.shape[-1] for part in parts]
                gradient, found, fault = self._descent.gradient(loss, parts, rows)
            if fault:
                skipped[fault] += 1
                continue
            found["kl"] /= max(found.pop("originals"), 1e-12)
            if guide is None:
                self._descent.learning_rate = adapted(self._descent.learning_rate, found["kl"], c.target_kl)
            self._descent.step(gradient, found["gradient_norm"], c.max_gradient_norm)
            actor.bound_std()
            for name, value_found in found.items():
                sums[name] = sums.get(name, 0.0) + value_found
            done += 1
        if done == 0:
            causes = ", ".join(f"{name} in {times}" for name, times in skipped.items())
            raise TrainingDiverged(
                f"no minibatch of iteration {self.iteration} was finite ({causes}); lower learning_rate"
            )
        # Only now, so that the update saw exactly the observations that the rollout's policy saw.
        self._collector.update_normalizers(rollout.fault, frozen)
        metrics |= {name: value / done for name, value in sums.items()}
        metrics["skipped_minibatches"] = float(skipped.total())
        metrics |= {f"skipped_{name}": float(times) for name, times in skipped.items()}
        metrics |= {"std": float(self.log_std.detach().exp().mean()), "learning_rate": self._descent.learning_rate}
        self._follow_std_schedule()
        self.iteration += 1
        self.steps += c.num_worlds * c.rollout_steps
        return metrics

    # ---- what the iteration is made of ----------------------------------------------------------------------------

    def _guide(self, batch: Minibatch) -> Tensor:
        """What the task's scripted guide would do [B, A]."""
        normalizer = self._actor.graph.normalizer
        assert isinstance(normalizer, RunningNormalizer) and self._task_guide is not None
        # A recurrent policy's rows are worlds, with their steps before them; a guide takes plain rows.
        rows = normalizer.inverse(batch.observation.flatten(0, -2))[:, : self._guided]
        actions: Tensor = self._task_guide(rows).unflatten(0, batch.observation.shape[:-1])
        return actions

    def _symmetry_loss(self, batch: Minibatch, mean: Tensor) -> Tensor:
        """How far the policy in the mirror is from the mirrored policy, towards which it is drawn.

        Ref: Yu, Turk and Liu, "Learning symmetric and low-energy locomotion", arXiv 1801.08093.
        """
        mirrors = self._mirrors
        assert mirrors is not None
        width = batch.past.shape[-1]
        past = mirrors.past(width)(batch.past) if width else batch.past
        turned = self._actor.means(mirrors.observation(batch.observation), past, batch.mirrored_memory, batch.done)
        loss: Tensor = (turned - mirrors.action(mean.detach())).square().mean()
        return loss

    def _follow_std_schedule(self) -> None:
        """Bound the spread of the actions by a schedule that falls over the first half of the training."""
        c = self.config
        if c.final_std > 0.0:
            progress = min(1.0, 2.0 * self.iteration / c.iterations)
            bound = math.log(c.initial_std) + progress * math.log(c.final_std / c.initial_std)
            with torch.no_grad():
                self.log_std.clamp_(max=bound)

    # ---- what others read, and checkpoints ------------------------------------------------------------------------

    @property
    def graph(self) -> PolicyGraph | LearnedTeacher:
        """The policy, or teacher, that is trained."""
        return self._actor.graph

    @property
    def log_std(self) -> Tensor:
        """The logarithm [A] of the actions' spread."""
        return self._actor.log_std

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self._descent.optimizer

    def enter(self, run_dir: Path) -> None:
        self._blocks.keep_failures(run_dir)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the future, whole in process 0; every process must call it."""
        shares = self._processes.gather(self._collector.snapshot())
        return {
            "iteration": self.iteration,
            "steps": self.steps,
            "graph": self._actor.graph.state_dict(),
            "critic": self.critic.state_dict(),
            "log_std": self.log_std.detach().clone(),
            "extension": self.extension.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "blocks": [block for share in shares for block in share],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, whose blocks may come from another number of processes."""
        self.iteration, self.steps = state["iteration"], state["steps"]
        self._actor.graph.load_state_dict(state["graph"])
        self.critic.load_state_dict(state["critic"])
        with torch.no_grad():
            self.log_std.copy_(state["log_std"])
        # Older checkpoints have none.
        self.extension.load_state_dict(state.get("extension", {}))
        self.optimizer.load_state_dict(state["optimizer"])
        blocks = state["blocks"]
        share = self.config.blocks // self._processes.size
        self._collector.restore(blocks[self._processes.rank * share : (self._processes.rank + 1) * share])


def adapted(rate: float, kl: float, target: float) -> float:
    """A smaller step size when the policy moved more than twice the target, a larger one when less than half.

    A `target` of 0 leaves it. Ref: rsl_rl's PPO (https://github.com/leggedrobotics/rsl_rl), the factors 2, 1/2, 1.5.
    """
    if target > 0.0 and kl > 2.0 * target:
        return max(1e-5, rate / 1.5)
    if target > 0.0 and 0.0 < kl < 0.5 * target:
        return min(1e-2, rate * 1.5)
    return rate
