"""PPO's rollout: worlds act, and one table of rows holds everything that the updates need.

A row of the table is one step of one world, its columns are the networks' inputs (already normalised), the action and
its results. A minibatch is then one selection of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from policies.graph.symmetry import SignedPermutation
from policies.signals import Sensors, Truth
from robo_rl.algorithms.acting import ActingWorlds
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.ppo.actor import Actor, Mirrors
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.algorithms.ppo.extension import Extension
from robo_rl.algorithms.ppo.moments import mean_and_spread, update_normalizer
from robo_rl.training.parallel import Processes

FAULTS = ("", "returns", "advantage", "critic_observation", "observation")
"""What may be non-finite in a row, the first cause last."""
_NUMBERS = ("log_probability", "advantage", "target", "value", "original")


@dataclass
class Rollout:
    """T steps of N worlds: `table` [T, M, W], whose M is N, or 2 N where mirror images follow the worlds.

    `columns` names the table's columns; `reward` and `done` [T, N] are what the steps paid and where episodes ended;
    `timeouts` holds step, worlds [K] and critic observation [K, D] before the restart of the episodes that ran out of
    time; `memory` [M, H] is a recurrent network's memory before the first step; `log_std` [A] is that of the policy
    that acted; `extra` names an extension's columns. `fault` [T, N] is the index in FAULTS of what is not finite, None
    for nowhere.
    """

    table: Tensor
    columns: Mapping[str, slice]
    reward: Tensor
    done: Tensor
    timeouts: Sequence[tuple[int, Tensor, Tensor]]
    memory: Tensor | None
    log_std: Tensor
    extra: tuple[str, ...]
    fault: Tensor | None = None

    @property
    def worlds(self) -> Tensor:
        """The rows [T, N, W] of the worlds themselves."""
        return self.table[:, : self.done.shape[1]]


class Collector:
    """The acting worlds, which continue from `first`, and the memory that their rollouts are written to."""

    def __init__(
        self,
        blocks: WorldBlocks,
        first: tuple[Sensors, Truth],
        actor: Actor,
        critic: Critic,
        mirrors: Mirrors | None,
        steps: int,
        doubled: bool,
        processes: Processes,
        extension: Extension,
    ) -> None:
        self.blocks, self.actor, self.critic, self.mirrors = blocks, actor, critic, mirrors
        self._extension = extension
        self._processes = processes
        self._steps = steps
        graph, n, device = actor.graph, blocks.num_worlds, blocks.device
        self._acting = ActingWorlds(blocks, first, graph)
        self._mirrored = actor.initial_memory(n, device) if mirrors is not None and actor.recurrent else {}
        example = blocks.critic_observation(self._acting.truth)
        past = 0 if actor.recurrent else sum(s.dim for s in graph.network_states)
        action = graph.action.dim
        added = extension.columns()
        self._extra = tuple(added)
        widths = {
            "observation": graph.observation_dim, "critic_observation": example.shape[-1], "past": past,
            "latent": action, "mean": action, **dict.fromkeys(_NUMBERS, 1), **added,
        }  # fmt: skip
        self.columns: dict[str, slice] = {}
        end = 0
        for name, width in widths.items():
            self.columns[name] = slice(end, end + width)
            end += width
        self._table = torch.zeros(steps, 2 * n if doubled else n, end, device=device)
        self._observation = torch.zeros(steps, n, graph.observation_dim, device=device)
        self._critic_observation = torch.zeros(steps + 1, n, example.shape[-1], device=device)
        self._mirror: SignedPermutation | None = None
        if doubled and mirrors is not None:
            numbers = SignedPermutation.identity(len(_NUMBERS))
            parts = (mirrors.observation, mirrors.critic, mirrors.past(past), mirrors.action, mirrors.action, numbers)
            self._mirror = SignedPermutation.joined((*parts, *extension.mirrors(mirrors).values()))

    @torch.no_grad()
    def collect(self, iteration: int) -> Rollout:
        """Act for the rollout of an iteration, with actions drawn around the policy's output."""
        c, graph, actor, acting, n = self.columns, self.actor.graph, self.actor, self._acting, self.blocks.num_worlds
        extension = self._extension
        extension.begin(iteration, acting)
        memory_before = self._recurrent_memory()
        rewards, dones = [], []
        timeouts: list[tuple[int, Tensor, Tensor]] = []
        for t in range(self._steps):
            row = self._table[t, :n]
            observation = actor.observe(acting)
            self._observation[t] = observation
            self._critic_observation[t] = self.blocks.critic_observation(acting.truth)
            seen = extension.see(actor.normalizer(observation))
            remembered = graph.memory(acting.state)
            latent_mean, memory = actor.latent(seen, remembered)
            distribution = actor.distribution(latent_mean)
            action, latent = distribution.sample(noise=self.blocks.normal(n, graph.action.dim))
            row[:, c["observation"]] = seen
            if c["past"].stop > c["past"].start:
                row[:, c["past"]] = next(iter(remembered.values()))
            row[:, c["latent"]], row[:, c["mean"]] = latent, latent_mean
            row[:, c["log_probability"]] = distribution.log_prob(action, latent)[:, None]
            for name, value in extension.record().items():
                row[:, c[name]] = value
            if self._mirrored:
                assert self.mirrors is not None
                self._mirrored = dict(actor.latent(self.mirrors.observation(seen), self._mirrored)[1])
            commands, following = graph.apply_action(action, acting.sensors, acting.state, memory)
            step = self.blocks.step(commands)
            acting.settle(step, following)
            done = step.terminated | step.truncated
            extension.settle(action, done)
            rewards.append(step.reward)
            dones.append(done)
            if bool(step.truncated.any()):
                ids = step.truncated.nonzero()[:, 0]
                timeouts.append((t, ids, self.blocks.critic_observation(step.terminal_truth)[ids]))
            for value in self._mirrored.values():
                value[done] = 0.0
        self._critic_observation[-1] = self.blocks.critic_observation(acting.truth)
        log_std = actor.log_std.detach().clone()
        reward, done = torch.stack(rewards), torch.stack(dones)
        return Rollout(self._table, self.columns, reward, done, timeouts, memory_before, log_std, self._extra)

    @torch.no_grad()
    def values(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """The critic's value before and after each step: [T, N] each. After a true end it is 0, after a time-out that
        of the observation before the restart.
        """
        critic = self.critic
        seen = critic.normalizer(self._critic_observation)
        rollout.worlds[..., self.columns["critic_observation"]] = seen[:-1]
        every = critic.denormalised(critic.of_normalised(seen.flatten(0, 1)).view(seen.shape[:2]))
        following = torch.where(rollout.done, 0.0, every[1:])
        if rollout.timeouts:
            last = critic(torch.cat([rows for _, _, rows in rollout.timeouts]))
            counts = [len(ids) for _, ids, _ in rollout.timeouts]
            for (t, ids, _), part in zip(rollout.timeouts, last.split(counts), strict=True):
                following[t, ids] = part
        return every[:-1], following

    @torch.no_grad()
    def complete(self, rollout: Rollout, value: Tensor, advantage: Tensor) -> None:
        """Fill in the columns that the losses compare, in the critic's scale, and the mirror images; find non-finite
        values."""
        worlds, c, critic = rollout.worlds, self.columns, self.critic
        worlds[..., c["target"]] = critic.renormalised(advantage + value)[..., None]
        worlds[..., c["value"]] = critic.renormalised(value)[..., None]
        rollout.fault = self._find_faults(advantage, worlds)
        _, mean, spread = mean_and_spread(advantage, self._processes)
        worlds[..., c["advantage"]] = ((advantage - mean) / (spread + 1e-8)).float()[..., None]
        worlds[..., c["original"]] = 1.0
        if self._mirror is not None:
            images = rollout.table[:, self.blocks.num_worlds :]
            images.copy_(self._mirror(worlds))
            images[..., c["original"]] = 0.0

    def metrics(self, rollout: Rollout) -> dict[str, float]:
        """Metrics of the rollout, over all processes."""
        return self._acting.metrics(rollout.reward.double().mean(), self._processes)

    def update_normalizers(self, fault: Tensor | None, frozen: bool) -> None:
        """Merge the last rollout's observations, after the update, which must use the policy's own normalisation; into
        the critic's normaliser alone while the policy is `frozen`."""
        mirrors = self.mirrors
        codes = (
            None if fault is None else [fault != FAULTS.index(name) for name in ("observation", "critic_observation")]
        )
        both = None if codes is None else codes[0] & codes[1]
        of_critic = None if mirrors is None else mirrors.critic
        parts = [(self.critic.normalizer, self._critic_observation[:-1], of_critic)]
        if not frozen:
            of_actor = None if mirrors is None else mirrors.observation
            parts.append((self.actor.normalizer, self._observation, of_actor))
        for normalizer, seen, mirror in parts:
            update_normalizer(normalizer, seen, both, mirror, self._processes)

    def _recurrent_memory(self) -> Tensor | None:
        if not self.actor.recurrent:
            return None
        own = self.actor.graph.memory(self._acting.state)
        parts = [next(iter(own.values()))] + list(self._mirrored.values())
        return torch.cat(parts).clone()

    def _find_faults(self, advantage: Tensor, worlds: Tensor) -> Tensor | None:
        """The index in FAULTS [T, N] of the non-finite value in a row; None when all rows of all processes are
        finite."""
        checked = {
            "returns": worlds[..., self.columns["target"].start],
            "advantage": advantage,
            "critic_observation": self._critic_observation[:-1].sum(-1),
            "observation": self._observation.sum(-1),
        }
        whole = sum(values.sum() for values in checked.values())
        if not self._processes.largest(0 if bool(torch.isfinite(torch.as_tensor(whole))) else 1):
            return None
        fault = torch.zeros(advantage.shape, dtype=torch.int64, device=advantage.device)
        for name, values in checked.items():
            fault = torch.where(torch.isfinite(values), fault, FAULTS.index(name))
        return fault

    def snapshot(self) -> list[dict[str, Any]]:
        """Everything that decides the worlds' future, block by block."""
        return self._acting.snapshot({"mirrored_memory": self._mirrored, **self._extension.held()})

    def restore(self, blocks: Sequence[Mapping[str, Any]]) -> None:
        """Continue from the snapshots of this process's blocks."""
        held = self._acting.restore(blocks, ("mirrored_memory", *self._extension.held()))
        self._mirrored = held.pop("mirrored_memory")
        self._extension.hold(held)
