"""PPO's update: clipped surrogate steps on minibatches of a rollout's table.

Everything that the textbook does once a minibatch and that can be done once an update is done before: observations are
normalised, targets scaled, mirror images made. All weights live in one flat tensor, so that a step of Adam, the
gradient's norm and its sum over processes are one operation each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from policies.networks.distributions import ActionDistribution, gaussian_kl
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.ppo.actor import Actor, Mirrors
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.algorithms.ppo.rollout import FAULTS, Rollout
from robo_rl.algorithms.registry import TrainingDiverged
from robo_rl.training.parallel import Processes


@dataclass(frozen=True)
class Minibatch:
    """Rows of a rollout: [B, dim] or [B], and [T, B, dim] or [T, B] for a recurrent network, whose rows are worlds.

    Observations are as the networks see them, normalised. `latent` is the Gaussian draw behind the action that was
    executed, `mean` and `log_std` [A] are that Gaussian's. `target` and `value` are in spreads of the return from its
    mean. `original` is 1, and 0 for a mirror image. `past` is a history network's memory, `memory` and `done` what a
    recurrent network unrolls from; `noise` is standard normal, for the entropy.
    """

    observation: Tensor
    critic_observation: Tensor
    past: Tensor
    action: Tensor
    latent: Tensor
    log_probability: Tensor
    mean: Tensor
    log_std: Tensor
    value: Tensor
    advantage: Tensor
    target: Tensor
    original: Tensor
    noise: Tensor | None
    memory: Tensor | None = None
    mirrored_memory: Tensor | None = None
    done: Tensor | None = None


AuxiliaryLoss = Callable[[Minibatch, Tensor], tuple[Tensor, dict[str, float]]]
"""An added loss: (minibatch, the policy's deterministic actions [B, A], with gradient) -> (loss, metrics)."""

_LOSSES = ("auxiliary_loss", "policy_loss", "value_loss", "symmetry_loss", "entropy")
"""What a minibatch reports, in the order in which the first cause of a fault is named."""


class Updater:
    """Learns from rollouts: `parameters` are trained by one Adam, whose step size follows the KL divergence."""

    def __init__(
        self,
        config: PpoConfig,
        actor: Actor,
        critic: Critic,
        mirrors: Mirrors | None,
        blocks: WorldBlocks,
        processes: Processes,
        auxiliary: AuxiliaryLoss | None,
    ) -> None:
        self.config, self.actor, self.critic, self.mirrors = config, actor, critic, mirrors
        self.auxiliary = auxiliary
        self._blocks, self._processes = blocks, processes
        self.parameters: list[nn.Parameter] = [*actor.graph.parameters(), actor.log_std, *critic.parameters()]
        self.weights = _flatten(self.parameters)
        fused = self.weights.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam([self.weights], lr=config.learning_rate, fused=fused)
        self.guide: Callable[[Minibatch], Tensor] | None = None
        """While set, the policy learns to act as the guide says [B, A]; the critic learns as ever."""
        self._threads = max(1, config.update_threads)
        self._pool = ThreadPoolExecutor(self._threads, "update") if self._threads > 1 else None

    def update(self, rollout: Rollout, iteration: int) -> dict[str, float]:
        """All epochs of updates on a rollout. Raises TrainingDiverged when every minibatch was non-finite."""
        c = self.config
        totals: dict[str, float] = {}
        skipped: dict[str, int] = {}
        done = 0
        per_world = 1 if self.actor.recurrent else rollout.done.shape[0]
        coins: Tensor | None = None
        parts = c.minibatches if self.guide is None else max(c.minibatches, c.imitation_minibatches)
        for _ in range(c.epochs):
            if rollout.table.shape[1] > rollout.done.shape[1]:
                # Of a row and its mirror image each epoch takes one, the next epoch the other.
                coins = self._blocks.coins(per_world) if coins is None else 1 - coins
            for picked in self._blocks.shuffled(per_world, parts):
                metrics, fault = self._step(rollout, picked, coins)
                if fault:
                    skipped[fault] = skipped.get(fault, 0) + 1
                    continue
                done += 1
                for name, value in metrics.items():
                    totals[name] = totals.get(name, 0.0) + value
        if done == 0:
            causes = ", ".join(f"{name} in {count}" for name, count in skipped.items())
            raise TrainingDiverged(f"no minibatch of iteration {iteration} was finite ({causes}); lower learning_rate")
        result = {name: value / done for name, value in totals.items()}
        result["skipped_minibatches"] = float(sum(skipped.values()))
        result.update({f"skipped_{name}": float(count) for name, count in skipped.items()})
        result["std"] = float(self.actor.log_std.detach().exp().mean())
        result["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        return result

    # ---- one step ----------------------------------------------------------------------------------------------

    def _step(self, rollout: Rollout, picked: Tensor, coins: Tensor | None) -> tuple[dict[str, float], str]:
        """One step of Adam: its metrics, or the name of the first thing that wasn't finite and no step."""
        if rollout.fault is not None:
            codes = rollout.fault[:, picked[1]] if self.actor.recurrent else rollout.fault[picked[0], picked[1]]
            worst = self._processes.largest(int(codes.max()))
            if worst:
                return {}, FAULTS[worst]
        batches = self._minibatches(rollout, picked, coins)
        rows = [batch.advantage.shape[-1] for batch in batches]
        shares = [n / sum(rows) for n in rows]
        if self._pool is None:
            parts = [self._gradient(batch, share) for batch, share in zip(batches, shares, strict=True)]
        else:
            parts = list(self._pool.map(self._gradient, batches, shares))
        packed, metrics = parts[0]
        for other, more in parts[1:]:
            packed += other
            metrics = {name: value + more[name] for name, value in metrics.items()}
        packed = self._processes.sum(packed)
        size = self.weights.numel()
        gradient = packed[:size].div_(self._processes.size)
        norm = float(torch.linalg.vector_norm(gradient))
        numbers = (packed[size:] / self._processes.size).tolist()
        reported = dict(zip(_LOSSES, numbers, strict=False))
        for name in _LOSSES:
            if not math.isfinite(reported[name]):
                return {}, name
        if not math.isfinite(norm):
            return {}, "gradient"
        kl = numbers[-2] / max(numbers[-1], 1e-12)
        self._adapt_step_size(kl)
        self.weights.grad = gradient.mul_(min(1.0, self.config.max_gradient_norm / (norm + 1e-6)))
        self.optimizer.step()
        with torch.no_grad():
            # Below e^-5 the policy is deterministic; above 2 every action is cut off.
            self.actor.log_std.clamp_(-5.0, math.log(2.0))
        if self.auxiliary is None:
            del reported["auxiliary_loss"]
        if self.config.symmetry != "loss":
            del reported["symmetry_loss"]
        return {**metrics, **reported, "kl": kl, "gradient_norm": norm}, ""

    def _minibatches(self, rollout: Rollout, picked: Tensor, coins: Tensor | None) -> list[Minibatch]:
        """The rows that `picked` [2, B] names, one part for each thread; a coin of 1 takes the mirror image."""
        steps, worlds = picked
        n = rollout.done.shape[1]
        column = worlds if coins is None else worlds + n * coins[steps, worlds]
        noise = None
        if self.config.distribution == "squashed":
            count = picked.shape[1] * (rollout.done.shape[0] if self.actor.recurrent else 1)
            noise = self._blocks.normal(count, self.actor.log_std.shape[0])
        if self.actor.recurrent:
            rows = rollout.table.index_select(1, column)
            assert rollout.memory is not None
            memory = rollout.memory[column]
            images = rollout.memory[n:] if len(rollout.memory) > n else rollout.memory
            noise = None if noise is None else noise.view(worlds.shape[0], -1, noise.shape[-1]).transpose(0, 1)
            other = images[worlds]
            done = rollout.done.index_select(1, worlds)
            pieces = zip(
                rows.tensor_split(self._threads, 1),
                [None] * self._threads if noise is None else noise.tensor_split(self._threads, 1),
                memory.tensor_split(self._threads),
                other.tensor_split(self._threads),
                done.tensor_split(self._threads, 1),
                strict=True,
            )
            return [self._minibatch(rollout, r, e, m, o, d) for r, e, m, o, d in pieces if r.shape[1]]
        rows = rollout.table.flatten(0, 1).index_select(0, steps * rollout.table.shape[1] + column)
        parts = rows.tensor_split(self._threads)
        noises = [None] * self._threads if noise is None else noise.tensor_split(self._threads)
        return [self._minibatch(rollout, r, e) for r, e in zip(parts, noises, strict=True) if len(r)]

    def _minibatch(
        self,
        rollout: Rollout,
        rows: Tensor,
        noise: Tensor | None,
        memory: Tensor | None = None,
        mirrored_memory: Tensor | None = None,
        done: Tensor | None = None,
    ) -> Minibatch:
        columns = {name: rows[..., part] for name, part in rollout.columns.items()}
        for name in ("log_probability", "advantage", "target", "value", "original"):
            columns[name] = columns[name].squeeze(-1)
        action = self.actor.executed(columns["latent"])
        return Minibatch(
            **columns, action=action, log_std=rollout.log_std, noise=noise, memory=memory,
            mirrored_memory=mirrored_memory, done=done,
        )  # fmt: skip

    def _gradient(self, batch: Minibatch, share: float) -> tuple[Tensor, dict[str, float]]:
        """The gradient and the losses of a part of a minibatch, times its `share` of it, in one tensor; metrics."""
        c = self.config
        with torch.enable_grad():
            means = self._means(batch)
            distribution = self.actor.distribution(means)
            value_loss = self._value_loss(batch)
            entropy = distribution.entropy(noise=batch.noise).mean()
            policy_loss = extra = symmetry_loss = torch.zeros_like(value_loss)
            metrics: dict[str, float] = {}
            if self.guide is None:
                policy_loss = self._surrogate(batch, distribution)
                loss = policy_loss + c.value_coefficient * value_loss - c.entropy_coefficient * entropy
            else:
                imitation = (means - self.guide(batch)).square().mean()
                loss = c.imitation_coefficient * imitation + c.value_coefficient * value_loss
                metrics["imitation"] = float(imitation.detach())
            if self.auxiliary is not None:
                extra, metrics = self.auxiliary(batch, distribution.deployed)
                loss = loss + extra
            if c.symmetry == "loss":
                symmetry_loss = self._symmetry_loss(batch, distribution.mean)
                loss = loss + c.symmetry_coefficient * symmetry_loss
            gradients = torch.autograd.grad(loss * share, self.parameters, materialize_grads=True)
        with torch.no_grad():
            kl = gaussian_kl(batch.mean, batch.log_std, distribution.mean, distribution.log_std)
            count = batch.original.sum() / batch.original.numel()
            divergence = (kl * batch.original).sum() / batch.original.numel()
            numbers = torch.stack((extra, policy_loss, value_loss, symmetry_loss, entropy, divergence, count)) * share
            packed = torch.cat([*(g.reshape(-1) for g in gradients), numbers])
        return packed, {name: value * share for name, value in metrics.items()}

    def _means(self, batch: Minibatch) -> Tensor:
        network = self.actor.network
        if self.actor.recurrent:
            unrolled: Tensor = network.unroll(batch.observation, batch.memory, batch.done)
            return unrolled
        memory = {network.STATE: batch.past} if batch.past.shape[-1] else {}
        return self.actor.latent(batch.observation, memory)[0]

    def _surrogate(self, batch: Minibatch, distribution: ActionDistribution) -> Tensor:
        ratio = (distribution.log_prob(batch.action, batch.latent) - batch.log_probability).exp()
        clipped = ratio.clamp(1.0 - self.config.clip, 1.0 + self.config.clip)
        return -torch.min(ratio * batch.advantage, clipped * batch.advantage).mean()

    def _value_loss(self, batch: Minibatch) -> Tensor:
        value = self.critic.of_normalised(batch.critic_observation)
        loss = (value - batch.target).square()
        limit = self.config.value_clip
        if limit > 0.0:
            near = batch.value + (value - batch.value).clamp(-limit, limit)
            loss = torch.max(loss, (near - batch.target).square())
        return loss.mean()

    def _symmetry_loss(self, batch: Minibatch, mean: Tensor) -> Tensor:
        """How far the policy in the mirror is from the mirrored policy, which it is drawn to.

        Ref: Yu, Turk and Liu, "Learning symmetric and low-energy locomotion", arXiv 1801.08093.
        """
        mirrors = self.mirrors
        assert mirrors is not None
        network, seen = self.actor.network, mirrors.observation(batch.observation)
        if self.actor.recurrent:
            turned = network.unroll(seen, batch.mirrored_memory, batch.done)
        else:
            past = batch.past
            memory = {network.STATE: mirrors.past(past.shape[-1])(past)} if past.shape[-1] else {}
            turned = self.actor.latent(seen, memory)[0]
        loss: Tensor = (turned - mirrors.action(mean.detach())).square().mean()
        return loss

    def _adapt_step_size(self, kl: float) -> None:
        """Smaller steps when the policy moved more than twice the target, larger ones when less than half.

        Ref: rsl_rl's PPO (https://github.com/leggedrobotics/rsl_rl), the factors 2, 1/2 and 1.5.
        """
        target = self.config.target_kl
        if target == 0.0 or self.guide is not None:
            return
        group = self.optimizer.param_groups[0]
        if kl > 2.0 * target:
            group["lr"] = max(1e-5, group["lr"] / 1.5)
        elif 0.0 < kl < 0.5 * target:
            group["lr"] = min(1e-2, group["lr"] * 1.5)


def _flatten(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """One tensor that holds all parameters, which become views of it."""
    flat = torch.cat([p.detach().reshape(-1) for p in parameters])
    start = 0
    for p in parameters:
        p.data = flat[start : start + p.numel()].view_as(p)
        start += p.numel()
    return nn.Parameter(flat)
