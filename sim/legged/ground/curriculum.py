"""Which level of terrain each world walks on: up when it walks off its tile as told, down when it falls short."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from policies.errors import UserError

SUCCESS = 0.7
"""Share of the commanded way that a world must have gone, without a fall, to move up."""
FAILURE = 0.4
"""Share of the commanded way below which a world moves down; so does one that fell."""
FIRST_LEVELS = 4
"""Worlds start on the first levels, spread evenly."""


class TerrainCurriculum:
    """Levels and columns [N] of N worlds on terrain of `rows` levels and `columns` columns.

    A world keeps its column. One that passes the last level goes on at a random one, so that none is forgotten.
    """

    def __init__(self, num_worlds: int, rows: int, columns: int, tile: float, device: str = "cpu") -> None:
        worlds = torch.arange(num_worlds, device=device)
        self.rows = rows
        self._count = columns
        self.columns = worlds % columns
        self.levels = (worlds // columns) % min(FIRST_LEVELS, rows)
        self.fixed = False
        self._tile = tile
        self._asked = torch.zeros(num_worlds, device=device)
        self._gone = torch.zeros(num_worlds, device=device)
        self._away = torch.zeros(num_worlds, 2, device=device)
        self._walked = torch.zeros(num_worlds, dtype=torch.bool, device=device)

    def advance(self, command: Tensor, velocity: Tensor, moved: Tensor, period: float) -> None:
        """One control period: `command` and `velocity` [N, 2] in the base's frame, m/s; `moved` [N, 2] world, m."""
        speed = command.norm(dim=-1)
        self._asked += speed * period
        self._gone += (velocity * command).sum(-1) / speed.clamp_min(1e-6) * period
        self._away += moved
        self._walked |= True

    def cross(self, ids: Tensor, generator: torch.Generator) -> None:
        """The worlds `ids` [K] have walked off their tiles: those that did as told go on a level higher."""
        up = (self._gone[ids] >= SUCCESS * self._asked[ids]) & (not self.fixed)
        self._move(ids, up.long(), generator)

    def finish(self, ids: Tensor, fell: Tensor, generator: torch.Generator) -> None:
        """The worlds `ids` [K] end their episodes; `fell` [K] says which of them by a fall. Choose their next level."""
        asked, gone = self._asked[ids], self._gone[ids]
        crossed = self._away[ids].norm(dim=-1) > self._tile / 2
        up = ~fell & crossed & (gone >= SUCCESS * asked)
        down = (fell & ~crossed) | (~fell & (asked > self._tile / 4) & (gone < FAILURE * asked))
        moves = self._walked[ids] & (not self.fixed)
        self._move(ids, (up & moves).long() - (down & ~up & moves).long(), generator)

    def _move(self, ids: Tensor, by: Tensor, generator: torch.Generator) -> None:
        level = self.levels[ids] + by
        anywhere = torch.randint(0, self.rows, level.shape, generator=generator, device=ids.device)
        self.levels[ids] = torch.where(level >= self.rows, anywhere, level.clamp_min(0))
        for sums in (self._asked, self._gone, self._away, self._walked):
            sums[ids] = 0

    def spread(self) -> None:
        """Spread the worlds evenly over all levels, from their next episodes on, and leave them there."""
        self.levels = (torch.arange(len(self.levels), device=self.levels.device) // self._count) % self.rows
        self.fixed = True

    def fix(self, level: int) -> None:
        """Put every world on `level` from its next episode on, and leave it there."""
        if not 0 <= level < self.rows:
            raise UserError(f"terrain level must be at least 0 and at most {self.rows - 1}, got {level}")
        self.levels = torch.full_like(self.levels, level)
        self.fixed = True

    def snapshot(self) -> dict[str, Tensor]:
        return {
            "levels": self.levels.clone(),
            "columns": self.columns.clone(),
            "fixed": torch.tensor(self.fixed),
            "asked": self._asked.clone(),
            "gone": self._gone.clone(),
            "away": self._away.clone(),
            "walked": self._walked.clone(),
        }

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self.levels = snapshot["levels"].clone()
        self.columns = snapshot["columns"].clone()
        self.fixed = bool(snapshot["fixed"])
        self._asked = snapshot["asked"].clone()
        self._gone = snapshot["gone"].clone()
        self._away = snapshot["away"].clone()
        self._walked = snapshot["walked"].clone()
