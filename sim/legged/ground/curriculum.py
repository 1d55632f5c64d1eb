"""The terrain level of each world: up when it leaves its tile as commanded, down when it falls short."""

from __future__ import annotations

import torch
from torch import Tensor

from sim.legged.ground.scenario import TerrainScenario
from sim.terms.parameters import Share
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
        self._scenario, self._tiles = scenario, scenario.tiles
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
        self._move(ids, up.long(), generator)

    def restart(self, ids: Tensor, generator: torch.Generator) -> None:
        """The worlds `ids` [K] end their episodes: choose their next level."""
        fell, asked, gone = self._scenario.fell[ids], self._asked[ids], self._gone[ids]
        tile = self._tiles.terrain.tile
        crossed = self._away[ids].norm(dim=-1) > tile / 2
        up = ~fell & crossed & (gone >= self._success * asked)
        down = (fell & ~crossed) | (~fell & (asked > tile / 4) & (gone < self._failure * asked))
        moves = self._walked[ids] & (not self._tiles.fixed)
        self._move(ids, (up & moves).long() - (down & ~up & moves).long(), generator)

    def _move(self, ids: Tensor, by: Tensor, generator: torch.Generator) -> None:
        tiles = self._tiles
        level = tiles.next_levels[ids] + by
        anywhere = torch.randint(0, tiles.rows, level.shape, generator=generator, device=ids.device)
        tiles.next_levels[ids] = torch.where(level >= tiles.rows, anywhere, level.clamp_min(0))
        for sums in (self._asked, self._gone, self._away, self._walked):
            sums[ids] = 0

    def finish(self) -> None:
        """Spread the worlds evenly over all levels, and keep them there."""
        self._tiles.spread()


TERRAIN_CURRICULUM = {"terrain_level": Curriculum(TerrainLevel)}
"""The curriculum of every task on terrain."""
