"""PPO's rollout: worlds act, and what the update needs is laid out in one table of rows.

A row of the table is one step of one world, its columns are what the networks see (already normalised) and what was
done and came of it. A minibatch is then one selection of rows, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from policies.graph.symmetry import SignedPermutation
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.ppo.actor import Actor, Mirrors
from robo_rl.algorithms.ppo.critic import Critic
from robo_rl.algorithms.ppo.moments import mean_and_spread, update_normalizer
from robo_rl.training.parallel import Processes

FAULTS = ("", "returns", "advantage", "critic_observation", "observation")
"""What may not be finite in a row, the first cause last."""
_NUMBERS = ("log_probability", "advantage", "target", "value", "original")


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
    carried = discount * decay * (~done).to(reward.dtype)
    for t in range(reward.shape[0] - 1, -1, -1):
        # A world whose value is not finite may not reach across its own reset: 0 times infinity is no number.
        following = difference[t] + torch.where(done[t], 0.0, carried[t] * following)
        advantage[t] = following
    return advantage


@dataclass
class Rollout:
    """T steps of N worlds: `table` [T, M, W], whose M is N, or 2 N where mirror images follow the worlds.

    `columns` names the table's columns, `done` [T, N] is where episodes ended, `memory` [M, H] is what a recurrent
    network remembered before the first step, `fault` [T, N] the index in FAULTS of what is not finite, None for
    nowhere. `log_std` [A] is that of the policy that acted.
    """

    table: Tensor
    columns: Mapping[str, slice]
    done: Tensor
    memory: Tensor | None
    fault: Tensor | None
    log_std: Tensor


class Collector:
    """The worlds under way, which go on from `first`, and the memory that their rollouts are written to."""

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
    ) -> None:
        self.blocks, self.actor, self.critic, self.mirrors = blocks, actor, critic, mirrors
        self._processes = processes
        self._steps = steps
        graph, n, device = actor.graph, blocks.num_worlds, blocks.device
        self._sensors, self._truth = first
        self._state = graph.initial_state(n, device)
        self._mirrored = actor.initial_memory(n, device) if mirrors is not None and actor.recurrent else {}
        self._episode_return = torch.zeros(n, device=device)
        self._episode_length = torch.zeros(n, device=device)
        example = blocks.critic_observation(self._truth)
        past = 0 if actor.recurrent else sum(s.dim for s in graph.network_states)
        action = graph.action.dim
        widths = {
            "observation": graph.observation_dim, "critic_observation": example.shape[-1], "past": past,
            "latent": action, "mean": action, **dict.fromkeys(_NUMBERS, 1),
        }  # fmt: skip
        self.columns: dict[str, slice] = {}
        end = 0
        for name, width in widths.items():
            self.columns[name] = slice(end, end + width)
            end += width
        self._doubled = doubled
        self._table = torch.zeros(steps, 2 * n if doubled else n, end, device=device)
        self._observation = torch.zeros(steps, n, graph.observation_dim, device=device)
        self._critic_observation = torch.zeros(steps + 1, n, example.shape[-1], device=device)
        self._mirror: SignedPermutation | None = None
        if doubled and mirrors is not None:
            numbers = SignedPermutation.identity(len(_NUMBERS))
            parts = (mirrors.observation, mirrors.critic, mirrors.past(past), mirrors.action, mirrors.action, numbers)
            self._mirror = SignedPermutation.joined(parts)

    @torch.no_grad()
    def collect(self, discount: float, decay: float) -> tuple[Rollout, dict[str, float]]:
        """Act for a rollout; the critic's output is rescaled to its returns. Returns metrics of all processes."""
        initial = self._initial_memory()
        log_std = self.actor.log_std.detach().clone()
        worlds = self._table[:, : self.blocks.num_worlds]
        reward, done, timeouts, sums = self._act(worlds)
        advantage = self._judge(worlds, reward, done, timeouts, discount, decay)
        fault = self._find_faults(advantage, worlds)
        _, mean, spread = mean_and_spread(advantage, self._processes)
        worlds[..., self.columns["advantage"]] = ((advantage - mean) / (spread + 1e-8)).float()[..., None]
        worlds[..., self.columns["original"]] = 1.0
        if self._doubled:
            assert self._mirror is not None
            images = self._table[:, self.blocks.num_worlds :]
            images.copy_(self._mirror(worlds))
            images[..., self.columns["original"]] = 0.0
        rollout = Rollout(self._table, self.columns, done, initial, fault, log_std)
        return rollout, self._metrics(reward, sums)

    def update_normalizers(self, fault: Tensor | None) -> None:
        """Take in what the last rollout saw; only after the update, so that it saw what the policy saw."""
        mirrors = self.mirrors
        codes = (
            None if fault is None else [fault != FAULTS.index(name) for name in ("observation", "critic_observation")]
        )
        both = None if codes is None else codes[0] & codes[1]
        for normalizer, seen, mirror in (
            (self.actor.normalizer, self._observation, None if mirrors is None else mirrors.observation),
            (self.critic.normalizer, self._critic_observation[:-1], None if mirrors is None else mirrors.critic),
        ):
            update_normalizer(normalizer, seen, both, mirror, self._processes)

    # ---- the parts of a rollout ---------------------------------------------------------------------------------

    def _initial_memory(self) -> Tensor | None:
        if not self.actor.recurrent:
            return None
        own = self.actor.graph.memory(self._state)
        parts = [next(iter(own.values()))] + list(self._mirrored.values())
        return torch.cat(parts).clone()

    def _act(self, worlds: Tensor) -> tuple[Tensor, Tensor, list[tuple[int, Tensor, Tensor]], Tensor]:
        """Fly the steps; returns reward and done [T, N], what stood before time-outs, and sums over episodes."""
        c, graph, actor, n = self.columns, self.actor.graph, self.actor, self.blocks.num_worlds
        rewards, dones = [], []
        timeouts: list[tuple[int, Tensor, Tensor]] = []
        sums = torch.zeros(4, dtype=torch.float64, device=self.blocks.device)
        for t in range(self._steps):
            row = worlds[t]
            observation = graph.observe(self._sensors, self._state)
            self._observation[t] = observation
            self._critic_observation[t] = self.blocks.critic_observation(self._truth)
            seen = actor.normalizer(observation)
            remembered = graph.memory(self._state)
            latent_mean, memory = actor.latent(seen, remembered)
            distribution = actor.distribution(latent_mean)
            action, latent = distribution.sample(noise=self.blocks.normal(n, graph.action.dim))
            row[:, c["observation"]] = seen
            if c["past"].stop > c["past"].start:
                row[:, c["past"]] = next(iter(remembered.values()))
            row[:, c["latent"]], row[:, c["mean"]] = latent, latent_mean
            row[:, c["log_probability"]] = distribution.log_prob(action, latent)[:, None]
            commands, state = graph.apply_action(action, self._sensors, self._state, memory)
            if self._mirrored:
                assert self.mirrors is not None
                self._mirrored = dict(actor.latent(self.mirrors.observation(seen), self._mirrored)[1])
            step = self.blocks.step(commands)
            done = step.terminated | step.truncated
            rewards.append(step.reward)
            dones.append(done)
            self._episode_return += step.reward
            self._episode_length += 1.0
            ended = done.nonzero()[:, 0]
            if len(ended):
                if bool(step.truncated.any()):
                    ids = step.truncated.nonzero()[:, 0]
                    timeouts.append((t, ids, self.blocks.critic_observation(step.terminal_truth)[ids]))
                crashed = step.terminated.sum()
                parts = (self._episode_return[ended].sum(), self._episode_length[ended].sum(), crashed)
                sums += torch.stack((torch.tensor(len(ended), device=sums.device), *parts)).double()
                self._episode_return[ended] = 0.0
                self._episode_length[ended] = 0.0
                for value in self._mirrored.values():
                    value[ended] = 0.0
            self._sensors, self._truth = step.sensors, step.truth
            self._state = graph.reset_where(state, done)
        self._critic_observation[-1] = self.blocks.critic_observation(self._truth)
        return torch.stack(rewards), torch.stack(dones), timeouts, sums

    def _judge(
        self,
        worlds: Tensor,
        reward: Tensor,
        done: Tensor,
        timeouts: Sequence[tuple[int, Tensor, Tensor]],
        discount: float,
        decay: float,
    ) -> Tensor:
        """Values, advantages [T, N] and the value's targets; the critic's output is rescaled on the way."""
        critic, c = self.critic, self.columns
        seen = critic.normalizer(self._critic_observation)
        worlds[..., c["critic_observation"]] = seen[:-1]
        every = critic.denormalised(critic.of_normalised(seen.flatten(0, 1)).view(seen.shape[:2]))
        value = every[:-1]
        following = torch.where(done, 0.0, every[1:])
        if timeouts:
            last = critic(torch.cat([rows for _, _, rows in timeouts]))
            for (t, ids, _), part in zip(timeouts, last.split([len(ids) for _, ids, _ in timeouts]), strict=True):
                following[t, ids] = part
        advantage = generalised_advantages(reward, value, following, done, discount, decay)
        returns = advantage + value
        critic.rescale(*mean_and_spread(returns, self._processes))
        worlds[..., c["target"]] = critic.renormalised(returns)[..., None]
        worlds[..., c["value"]] = critic.renormalised(value)[..., None]
        return advantage

    def _find_faults(self, advantage: Tensor, worlds: Tensor) -> Tensor | None:
        """The index in FAULTS [T, N] of what is not finite in a row; None when all rows of all processes are fine."""
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

    def _metrics(self, reward: Tensor, sums: Tensor) -> dict[str, float]:
        worlds = self.blocks.metrics()
        blocks = len(self.blocks.environments)
        own = torch.tensor([float(blocks), *worlds.values()], dtype=torch.float64, device=sums.device)
        total = self._processes.sum(torch.cat((sums, reward.double().mean()[None] * blocks, own))).tolist()
        episodes, returned, length, crashed, rewards, all_blocks = total[:6]
        metrics = {"reward": rewards / all_blocks, "episodes": episodes}
        if episodes:
            metrics |= {
                "episode_return": returned / episodes,
                "episode_length": length / episodes,
                "terminated": crashed / episodes,
            }
        return metrics | {name: value / all_blocks for name, value in zip(worlds, total[6:], strict=True)}

    # ---- checkpoints --------------------------------------------------------------------------------------------

    def snapshot(self) -> list[dict[str, Any]]:
        """Everything that decides the worlds' future, block by block."""
        return self.blocks.snapshot(
            {
                "sensors": self._sensors,
                "truth": self._truth,
                "policy_state": self._state,
                "mirrored_memory": self._mirrored,
                "episode": {"return": self._episode_return, "length": self._episode_length},
            }
        )

    def restore(self, blocks: Sequence[Mapping[str, Any]]) -> None:
        """Go on from the snapshots of this process's blocks."""
        groups = ("sensors", "truth", "policy_state", "mirrored_memory", "episode")
        held = self.blocks.restore(blocks, groups)
        self._sensors, self._truth = Sensors(held["sensors"]), Truth(held["truth"])
        self._state = State(held["policy_state"])
        self._mirrored = held["mirrored_memory"]
        self._episode_return, self._episode_length = held["episode"]["return"], held["episode"]["length"]
