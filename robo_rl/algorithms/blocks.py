"""Worlds in blocks: they make the result of a training independent of how many processes share its worlds.

Every block of worlds has an environment and a random generator of its own, and every minibatch takes an equal share of
every block. Which process holds which blocks then changes nothing but the order in which numbers are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands, Sensors, Truth
from robo_rl.training.parallel import Processes
from sim.task import Resumed, Step, Task
from sim.terms.generators import restore_generator

MOST_BLOCKS = 64
FAILED = "failed"
"""Folder of the last states of worlds that failed in the physics; made when one fails."""
_SEEDS_OF_LATER_BLOCKS = 1_000_000_000
"""The blocks after the first have seeds from here on: no training and no evaluation has such a seed."""


class WorldBlocks:
    """The worlds of this process, block by block in one batch; N worlds in all, `num_worlds` over all processes.

    The blocks are of the task, then of the `others` in turn; sensors and truth are those that all of them have.
    Raises UserError when the worlds do not divide into blocks, or the blocks among the processes.
    """

    def __init__(
        self,
        task: Task,
        num_worlds: int,
        blocks: int,
        seed: int,
        device: str,
        randomized: bool,
        processes: Processes,
        others: Sequence[Task] = (),
    ) -> None:
        if num_worlds % blocks:
            raise UserError(f"{num_worlds} worlds don't divide into {blocks} equal blocks; change num_worlds or blocks")
        if blocks % processes.size:
            raise UserError(
                f"the worlds are in {blocks} block{'s' if blocks > 1 else ''}, which don't divide among "
                f"{processes.size} processes; start the training with --blocks {processes.size}"
            )
        share = blocks // processes.size
        mine = range(processes.rank * share, (processes.rank + 1) * share)
        self._mine = mine
        seeds = [seed if b == 0 else _SEEDS_OF_LATER_BLOCKS + MOST_BLOCKS * seed + b for b in mine]
        self.size = num_worlds // blocks
        self.num_worlds = self.size * share
        tasks = (task, *others)
        self.environments = [
            tasks[b % len(tasks)].make_environment(self.size, s, device, randomized=randomized)
            for b, s in zip(mine, seeds, strict=True)
        ]
        self.generators = [torch.Generator(device=device).manual_seed(s) for s in seeds]
        self.device = torch.device(device)

    def reset(self) -> tuple[Sensors, Truth]:
        parts = [environment.reset() for environment in self.environments]
        return Sensors(_joined([sensors for sensors, _ in parts])), Truth(_joined([truth for _, truth in parts]))

    def step(self, commands: Commands) -> Step:
        """One step of every block (see sim.task.Environment)."""
        if len(self.environments) == 1:
            return self.environments[0].step(commands)
        rows = {name: value.split(self.size) for name, value in commands.items()}
        steps = [
            environment.step(Commands({name: parts[i] for name, parts in rows.items()}))
            for i, environment in enumerate(self.environments)
        ]
        return Step(
            Sensors(_joined([s.sensors for s in steps])),
            Truth(_joined([s.truth for s in steps])),
            torch.cat([s.reward for s in steps]),
            torch.cat([s.terminated for s in steps]),
            torch.cat([s.truncated for s in steps]),
            Sensors(_joined([s.terminal_sensors for s in steps])),
            Truth(_joined([s.terminal_truth for s in steps])),
            self._resumed([s.resumed for s in steps]),
        )

    def _resumed(self, parts: Sequence[Resumed | None]) -> Resumed | None:
        """What the blocks report, with the worlds counted over all of them."""
        found = [(block * self.size, part) for block, part in enumerate(parts) if part is not None]
        if not found:
            return None
        ids = torch.cat([first + part.ids for first, part in found])
        return Resumed(ids, _joined([part.policy for _, part in found]))

    def critic_observation(self, truth: Truth) -> Tensor:
        """The privileged observation [N, D]; the scenario makes it of the truth alone, block by block."""
        if len(self.environments) == 1:
            return self.environments[0].critic_observation(truth)
        rows = {name: value.split(self.size) for name, value in truth.items()}
        parts = [
            environment.critic_observation(Truth({name: value[i] for name, value in rows.items()}))
            for i, environment in enumerate(self.environments)
        ]
        return torch.cat(parts)

    def keep_failures(self, folder: Path) -> None:
        """Write the last states of worlds that fail in the physics into `folder`/failed, a folder for each block."""
        for block, environment in zip(self._mine, self.environments, strict=True):
            keep = getattr(environment, "keep_failures", None)
            if keep is not None:
                keep(folder / FAILED / f"block-{block}")

    def metrics(self) -> dict[str, float]:
        """What the environments report, summed over the blocks of this process."""
        total: dict[str, float] = {}
        for environment in self.environments:
            own: Mapping[str, float] = getattr(environment, "metrics", dict)()
            for name, value in own.items():
                total[name] = total.get(name, 0.0) + float(value)
        return total

    def normal(self, rows: int, columns: int) -> Tensor:
        """Standard normal numbers [rows, columns], an equal number of rows from each block's generator."""
        return self._drawn(torch.randn, rows, columns)

    def uniform(self, rows: int, columns: int) -> Tensor:
        """Uniform numbers [rows, columns] in [0, 1), drawn as those of `normal` are."""
        return self._drawn(torch.rand, rows, columns)

    def _drawn(self, draw: Callable[..., Tensor], rows: int, columns: int) -> Tensor:
        share = rows // len(self.generators)
        draws = [draw(share, columns, generator=g, device=self.device) for g in self.generators]
        return draws[0] if len(draws) == 1 else torch.cat(draws)

    def shuffled(self, per_world: int, minibatches: int) -> list[Tensor]:
        """World indices and steps in random order, in equal shares of each block: `minibatches` tensors [2, B].

        The first row is the step, 0 to per_world - 1, the second one the world.
        """
        parts: list[list[Tensor]] = [[] for _ in range(minibatches)]
        for block, generator in enumerate(self.generators):
            order = torch.randperm(per_world * self.size, generator=generator, device=self.device)
            steps = torch.div(order, self.size, rounding_mode="floor")
            pairs = torch.stack((steps, order - steps * self.size + block * self.size))
            for k, part in enumerate(pairs.chunk(minibatches, 1)):
                parts[k].append(part)
        return [part[0] if len(part) == 1 else torch.cat(part, 1) for part in parts if part]

    def coins(self, per_world: int) -> Tensor:
        """A fair coin [per_world, N] for every step of every world."""
        tossed = [torch.randint(0, 2, (per_world, self.size), generator=g, device=self.device) for g in self.generators]
        return tossed[0] if len(tossed) == 1 else torch.cat(tossed, 1)

    def snapshot(self, extra: Mapping[str, Mapping[str, Tensor]]) -> list[dict[str, Any]]:
        """Everything that decides the future of each block; `extra` names tensors [N, ...] to split among them."""
        found = []
        for i, (environment, generator) in enumerate(zip(self.environments, self.generators, strict=True)):
            rows = slice(i * self.size, (i + 1) * self.size)
            held = {
                group: {name: value[rows].clone() for name, value in tensors.items()}
                for group, tensors in extra.items()
            }
            found.append({"environment": environment.snapshot(), "generator": generator.get_state(), **held})
        return found

    def restore(self, blocks: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> dict[str, dict[str, Tensor]]:
        """Go on from snapshots of this process's blocks; returns the tensors of `groups`, joined again."""
        for environment, generator, saved in zip(self.environments, self.generators, blocks, strict=True):
            environment.restore(saved["environment"])
            restore_generator(generator, saved["generator"])
        return {
            group: {
                name: torch.cat([saved[group][name] for saved in blocks]).to(self.device) for name in blocks[0][group]
            }
            for group in groups
        }


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    if len(parts) == 1:
        return parts[0]
    return {
        name: torch.cat([part[name] for part in parts])
        for name, value in parts[0].items()
        if all(name in part and part[name].shape == value.shape for part in parts)
    }
