"""PPO's minibatches: rows of a rollout's table, in parts that threads share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.algorithms.ppo.actor import Actor
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.minibatch import Minibatch
from robo_rl.algorithms.ppo.rollout import FAULTS, Rollout
from robo_rl.training.parallel import Processes


def minibatches(
    config: PpoConfig, rollout: Rollout, actor: Actor, blocks: WorldBlocks, processes: Processes, count: int
) -> Iterator[tuple[list[Minibatch], str]]:
    """`count` minibatches of each epoch, in random order: the parts of each; or no part, and the name of a value that
    is not finite in one of its rows, in any process."""
    per_world = 1 if actor.recurrent else rollout.done.shape[0]
    coins: Tensor | None = None
    for _ in range(config.epochs):
        if config.symmetry == "augment":
            # Each epoch takes a row or its mirror image, the next epoch the other one.
            coins = blocks.coins(per_world) if coins is None else 1 - coins
        for picked in blocks.shuffled(per_world, count):
            fault = _fault(rollout, picked, actor.recurrent, processes)
            if fault:
                yield [], fault
                continue
            image = None if coins is None else coins[picked[0], picked[1]]
            if config.symmetry == "double":
                picked = torch.cat((picked, picked), 1)
                image = (torch.arange(picked.shape[1], device=picked.device) >= picked.shape[1] // 2).long()
            noise = None
            if config.distribution == "squashed":
                rows = picked.shape[1] * (rollout.done.shape[0] if actor.recurrent else 1)
                noise = blocks.normal(rows, actor.log_std.shape[0])
            yield _parts(rollout, picked, image, noise, actor, config.update_threads), ""


def _fault(rollout: Rollout, picked: Tensor, recurrent: bool, processes: Processes) -> str:
    if rollout.fault is None:
        return ""
    codes = rollout.fault[:, picked[1]] if recurrent else rollout.fault[picked[0], picked[1]]
    return FAULTS[processes.largest(int(codes.max()))]


def _parts(
    rollout: Rollout, picked: Tensor, image: Tensor | None, noise: Tensor | None, actor: Actor, threads: int
) -> list[Minibatch]:
    """The rows that `picked` [2, B] names, one part for each thread; where `image` [B] is 1, their mirror images."""
    steps, worlds = picked
    n = rollout.done.shape[1]
    column = worlds if image is None else worlds + n * image
    if not actor.recurrent:
        rows = rollout.table.flatten(0, 1).index_select(0, steps * rollout.table.shape[1] + column)
        noises = [None] * threads if noise is None else noise.tensor_split(threads)
        parts = zip(rows.tensor_split(threads), noises, strict=True)
        return [_minibatch(rollout, actor, rows, noise) for rows, noise in parts if len(rows)]
    assert rollout.memory is not None
    if noise is not None:
        noise = noise.view(worlds.shape[0], -1, noise.shape[-1]).transpose(0, 1)
    images = rollout.memory[n:] if len(rollout.memory) > n else rollout.memory
    pieces = zip(
        rollout.table.index_select(1, column).tensor_split(threads, 1),
        [None] * threads if noise is None else noise.tensor_split(threads, 1),
        rollout.memory[column].tensor_split(threads),
        images[worlds].tensor_split(threads),
        rollout.done.index_select(1, worlds).tensor_split(threads, 1),
        strict=True,
    )
    return [_minibatch(rollout, actor, *piece) for piece in pieces if piece[0].shape[1]]


def _minibatch(
    rollout: Rollout,
    actor: Actor,
    rows: Tensor,
    noise: Tensor | None,
    memory: Tensor | None = None,
    mirrored_memory: Tensor | None = None,
    done: Tensor | None = None,
) -> Minibatch:
    columns = {name: rows[..., part] for name, part in rollout.columns.items()}
    extra = {name: columns.pop(name) for name in rollout.extra}
    for name in ("log_probability", "advantage", "target", "value", "original"):
        columns[name] = columns[name].squeeze(-1)
    action = actor.executed(columns["latent"])
    return Minibatch(
        **columns, action=action, log_std=rollout.log_std, noise=noise, extra=extra, memory=memory,
        mirrored_memory=mirrored_memory, done=done,
    )  # fmt: skip
