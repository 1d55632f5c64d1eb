"""Curricula on terrain: the level of each world goes up and down with how far it walks, or ground on which worlds do
badly is drawn more often."""

from __future__ import annotations

import torch
from torch import Tensor

from sim.legged.curriculum import WALKING_CURRICULA
from sim.legged.ground.scenario import TerrainScenario
from sim.terms.curricula.cells import FailureSampling
from sim.terms.parameters import NonNegative, Share
from sim.terms.stateful import CurriculumTerm
from sim.terms.terms import Curriculum


class TerrainLevel(CurriculumTerm):
    """A world moves up when it has gone the share `success` of the commanded way without a fall, down when it fell or
    went less than the share `failure`. Worlds start on the first `first_levels` levels, spread evenly.

    A world keeps its kind of ground. One that passes the last level continues at a random one, so that all stay in use.
    """

    def __init__(
        self, scenario: TerrainScenario, *, success: Share = 0.7, failure: Share = 0.4, first_levels: int = 4
    ) -> None:
        n, device = scenario.num_worlds, scenario.device
        self._terms, self._tiles = scenario.terms, scenario.tiles
        self._success, self._failure = success, failure
        self._asked = torch.zeros(n, device=device)
        self._gone = torch.zeros(n, device=device)
        self._away = torch.zeros(n, 2, device=device)
        self._walked = torch.zeros(n, dtype=torch.bool, device=device)
        self._tiles.spread(min(max(1, first_levels), self._tiles.rows))
        self._tiles.fixed = False

    def walk(self, command: Tensor, velocity: Tensor, moved: Tensor, period: float) -> None:
        """One control period: `command` and `velocity` [N, 2] in the base's frame, m/s; `moved` [N, 2] world, m."""
        speed = command.norm(dim=-1)
        self._asked += speed * period
        self._gone += (velocity * command).sum(-1) / speed.clamp_min(1e-6) * period
        self._away += moved
        self._walked |= True

    def cross(self, ids: Tensor, generator: torch.Generator) -> None:
        """Move the worlds `ids` [K], which left their tiles: those that followed their commands go up a level."""
        up = (self._gone[ids] >= self._success * self._asked[ids]) & (not self._tiles.fixed)
        self._move(ids, (up & ~self._terms.resumed[ids]).long(), generator)

    def restart(self, ids: Tensor, generator: torch.Generator) -> None:
        """The worlds `ids` [K] end their episodes: choose their next level."""
        fell, asked, gone = self._terms.terminated[ids], self._asked[ids], self._gone[ids]
        tile = self._tiles.terrain.tile
        crossed = self._away[ids].norm(dim=-1) > tile / 2
        up = ~fell & crossed & (gone >= self._success * asked)
        down = (fell & ~crossed) | (~fell & (asked > tile / 4) & (gone < self._failure * asked))
        moves = self._walked[ids] & (not self._tiles.fixed) & ~self._terms.resumed[ids]
        self._move(ids, (up & moves).long() - (down & ~up & moves).long(), generator)

    def _move(self, ids: Tensor, by: Tensor, generator: torch.Generator) -> None:
        tiles = self._tiles
        level = tiles.next_levels[ids] + by
        anywhere = torch.randint(0, tiles.rows, level.shape, generator=generator, device=ids.device)
        tiles.next_levels[ids] = torch.where(level >= tiles.rows, anywhere, level.clamp_min(0))
        for sums in (self._asked, self._gone, self._away, self._walked):
            sums[ids] = 0

    def finish(self) -> None:
        """Spread the worlds evenly over all kinds and levels, and keep them there."""
        self._tiles.spread()


class TerrainSampling(FailureSampling):
    """Ground is drawn more often on which the worlds do badly, see `FailureSampling`: a kind and a level, or only a
    kind after `terrain_level`; a world then takes over the level of a random one that is on its new kind. The result of
    an episode is the share of the commanded way that the robot went, and 0 after a fall."""

    def __init__(self, scenario: TerrainScenario, *, sharpness: NonNegative = 5.0, floor: Share = 0.2) -> None:
        n, device, tiles = scenario.num_worlds, scenario.device, scenario.tiles
        self._terms, self._tiles = scenario.terms, tiles
        leveled = any(isinstance(term, TerrainLevel) for term in self._terms.curriculum.values())
        self._rows = 1 if leveled else tiles.rows
        super().__init__(len(tiles.terrain.kinds) * self._rows, n, device, sharpness, floor)
        self.cell = tiles.next_columns * self._rows + tiles.next_levels % self._rows
        self._asked = torch.zeros(n, device=device)
        self._gone = torch.zeros(n, device=device)
        tiles.fixed = False

    def walk(self, command: Tensor, velocity: Tensor, moved: Tensor, period: float) -> None:
        """As of `TerrainLevel`."""
        speed = command.norm(dim=-1)
        self._asked += speed * period
        self._gone += (velocity * command).sum(-1) / speed.clamp_min(1e-6) * period

    def cross(self, ids: Tensor, generator: torch.Generator) -> None:
        """A world that walks off its tile stays in its cell."""

    def restart(self, ids: Tensor, generator: torch.Generator) -> None:
        """The worlds `ids` [K] end their episodes: draw their next ground."""
        tiles = self._tiles
        if tiles.fixed:
            return
        asked, gone = self._asked[ids], self._gone[ids]
        # Where a robot was commanded to stand, all that counts is that it did not fall.
        went = torch.where(asked > 0.1, gone / asked.clamp_min(0.1), 1.0).clamp(0.0, 1.0)
        counted = (asked > 0) & ~self._terms.resumed[ids]
        self.note(ids[counted], torch.where(self._terms.terminated[ids], 0.0, went)[counted])
        cells = self.draw(len(ids), generator)
        columns, levels = cells // self._rows, cells % self._rows
        if self._rows == 1:
            there = (tiles.next_columns == columns[:, None]).float()
            # Where no world is on a kind, the level stays.
            there[torch.arange(len(ids)), ids] += 1e-9
            levels = tiles.next_levels[torch.multinomial(there, 1, generator=generator)[:, 0]]
            levels = torch.where(tiles.next_columns[ids] == columns, tiles.next_levels[ids], levels)
        tiles.next_columns[ids], tiles.next_levels[ids], self.cell[ids] = columns, levels, cells
        self._asked[ids] = 0.0
        self._gone[ids] = 0.0

    def finish(self) -> None:
        """Spread the worlds evenly over all kinds and levels, and keep them there."""
        self._tiles.spread()

    def metrics(self) -> dict[str, float]:
        return {"terrain_sampling": float(self.results.mean())}


TERRAIN_CURRICULUM = {"terrain_level": Curriculum(TerrainLevel)}
"""The curriculum of every task on terrain."""
TERRAIN_CURRICULA = {**WALKING_CURRICULA, **TERRAIN_CURRICULUM, "terrain_sampling": Curriculum(TerrainSampling)}
"""The curricula that every task on terrain can be trained with."""
