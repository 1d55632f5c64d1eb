"""The processes that train together: their ranks, and the few numbers that they exchange.

A process alone is a group of one, and every operation here then costs nothing. A group is started by `torchrun`, or by
its agent for `robo-rl train --processes N` (robo_rl/training/launch.py), which set the ranks in environment variables.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from policies.errors import UserError

_PATIENCE = 20.0
"""Seconds within which the agent finds the process that failed first and ends the others."""


class Processes:
    """A group of processes; `rank` counts them from 0, and only rank 0 writes files."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up `tensor` over all processes, in place; the result is identical in each of them."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def largest(self, value: int) -> int:
        """The largest `value` that any process gives."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX, group=_control())
        return int(tensor)

    def gather(self, part: Any) -> list[Any]:
        """The `part` of every process, in order, in process 0; elsewhere an empty list. Plain data and tensors only."""
        if self.size == 1:
            return [part]
        parts: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(part, parts, group=_control())
        return parts or []

    def wait(self) -> None:
        """Wait until every process has reached this call."""
        if self.size > 1:
            dist.barrier(group=_control())


def current() -> Processes:
    """The group that this process has joined, or itself alone."""
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes()


def announced() -> tuple[int, int]:
    """The rank and the number of processes that the environment names: (0, 1) for a process alone."""
    try:
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError:
        raise UserError("RANK and WORLD_SIZE in the environment must be whole numbers, as torchrun sets them") from None
    if not 0 <= rank < size:
        raise UserError(f"RANK is {rank} of WORLD_SIZE {size} in the environment; start processes with torchrun")
    return rank, size


def cores() -> list[int]:
    """The processor cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def check_cores(processes: int, device: str) -> None:
    """Raise UserError when there are more processes than cores, or GPUs: they would wait for each other."""
    if processes < 1:
        raise UserError(f"processes must be at least 1, got {processes}")
    if device.startswith("cuda"):
        found, what = torch.cuda.device_count(), "GPU"
    else:
        found, what = len(cores()), "core"
    if processes > found:
        some = f"{what}s" if found != 1 else what
        raise UserError(f"{processes} processes are more than the {found} {some} here; use --processes {max(1, found)}")


@contextmanager
def joined(device: str, size: int) -> Iterator[Processes]:
    """Within the block this process belongs to a group of `size`: gloo between processors, nccl between GPUs.

    On the CPU each process keeps to its own share of this machine's cores, so that the threads of their physics do not
    compete.
    """
    if size == 1:
        yield current()
        return
    if device == "cpu" and hasattr(os, "sched_setaffinity"):
        local, beside = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", size))
        mine = cores()
        os.sched_setaffinity(0, mine[local * len(mine) // beside : (local + 1) * len(mine) // beside])
    dist.init_process_group("gloo" if device == "cpu" else "nccl")
    try:
        yield current()
    except (RuntimeError, UserError) as error:
        # The others see a process that died as a broken connection, and all make the same user's mistake. The agent
        # names the process that ends first and ends the others: the one that died, or the first one, whose output is
        # shown.
        if dist.get_rank() > 0 or isinstance(error, RuntimeError):
            time.sleep(_PATIENCE)
        if any(library in str(error).lower() for library in ("gloo", "nccl")):
            raise UserError(
                "the connection to another process broke; continue from the last checkpoint with --resume"
            ) from None
        raise
    dist.destroy_process_group()
    _groups.clear()


def own_device(device: str) -> str:
    """The device of this process: of several processes on GPUs each has one of its own."""
    if device == "cuda" and current().size > 1:
        return f"cuda:{os.environ.get('LOCAL_RANK', current().rank)}"
    return device


_groups: list[Any] = []


def _control() -> Any:
    """A group on the processors, for plain data, also where gradients go from GPU to GPU."""
    if not _groups:
        _groups.append(dist.group.WORLD if dist.get_backend() == "gloo" else dist.new_group(backend="gloo"))
    return _groups[0]
