"""The ground under N worlds: where they start, how high it is, and a scan of it with the errors of a real map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Truth
from policies.validation import require
from sim.terrain.heights import scan_grid, scan_places
from sim.terrain.terrain import Terrain

START_SPREAD = 0.4
"""Robots start within this of their tile's middle, in m, in x and y."""

NEIGHBOURS = 8
"""Points around a missing one whose heights it may take."""


@dataclass(frozen=True)
class ScanSettings:
    """A grid of heights around the robot, as an elevation map gives them: heights of the ground less the base's.

    Noise is white in each point; drift moves the whole map, once an episode; with dropout a step brings the last scan
    again.
    """

    length: float = 1.2
    """Extent forward and backward in m."""
    width: float = 0.6
    """Extent sideways in m."""
    spacing: float = 0.15
    """Distance of neighbouring points in m."""
    noise: float = 0.02
    """Standard deviation in m."""
    drift: float = 0.04
    """Standard deviation in m of the map's place in x and y."""
    height_drift: float = 0.02
    """Standard deviation in m of the map's height."""
    dropout: float = 0.05
    """Share of steps without a new scan."""
    low: float = -1.2
    high: float = 0.6
    """Limits of the scan in m."""

    def __post_init__(self) -> None:
        for name in ("length", "width", "spacing"):
            require(self, name, above=0.0)
        for name in ("noise", "drift", "height_drift", "dropout"):
            require(self, name, low=0.0)

    @property
    def grid(self) -> Tensor:
        """Points [k, 2] in the heading frame, m."""
        return scan_grid(self.length, self.width, self.spacing)

    @property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each point those that lie nearest, the nearest first, of equally near ones in the grid's order."""
        apart = torch.cdist(self.grid.double(), self.grid.double()).mul(1e6).round()
        apart.fill_diagonal_(-1.0)
        order = apart.argsort(dim=1, stable=True)[:, 1 : 1 + NEIGHBOURS]
        return tuple(tuple(row) for row in order.tolist())

    @property
    def labels(self) -> tuple[str, ...]:
        """The points as names of the sensor's channels, by which a robot finds them: "x,y" in m."""
        return tuple(",".join(f"{round(value, 4) + 0.0:g}" for value in point) for point in self.grid.tolist())


class TerrainGround:
    """See `Ground` in sim.legged.scenario. `scale` times the settings' drift moves each world's map; without `sensed`
    the scan is no sensor.

    Heights are looked up in the terrain's own surface: the same as by ray casts, at a hundredth of the cost.
    """

    def __init__(
        self,
        terrain: Terrain,
        scan: ScanSettings,
        num_worlds: int,
        scale: float,
        device: str = "cpu",
        sensed: bool = True,
    ) -> None:
        self._sensed = sensed
        self.terrain = terrain
        self.rows, columns = len(terrain.origins), len(terrain.kinds)
        """Number of levels."""
        self.columns = torch.arange(num_worlds, device=device) % columns
        """Column [N] of each world's tile, whose kind of ground it has; `next_columns` [N] is that of its next
        episode."""
        self.spread()
        self.levels = self.next_levels.clone()
        """Level [N] of the tile that each world is on."""
        self.origins = torch.tensor(terrain.origins, dtype=torch.float32, device=device)
        self._heights = terrain.heights.to(device)
        self._scan = scan
        self._grid = scan.grid.to(device)
        self._whole_drift = torch.tensor([scan.drift, scan.drift, scan.height_drift], device=device) * scale
        self._drift_scale = self._whole_drift
        self.drift = torch.zeros(num_worlds, 3, device=device)

    def begin(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Start on the middle of each world's tile; draw a new drift of the map."""
        u = torch.rand(len(ids), 2, generator=generator, device=ids.device) * 2.0 - 1.0
        self.drift[ids] = torch.randn(len(ids), 3, generator=generator, device=ids.device) * self._drift_scale
        self.columns = self.columns.index_copy(0, ids, self.next_columns[ids])
        self._take_over(ids)
        points = self.origins[self.levels[ids], self.columns[ids]].clone()
        points[:, :2] += u * START_SPREAD
        return points

    def scale_imperfections(self, share: float) -> None:
        """Let the map's drift have this share of its whole size, from the next episodes on."""
        self._drift_scale = share * self._whole_drift

    def follow(self, ids: Tensor) -> None:
        """Move the worlds `ids` [K] to their next level, unless that was fixed for the next episodes."""
        if not self.fixed:
            self._take_over(ids)

    def _take_over(self, ids: Tensor) -> None:
        self.levels = self.levels.index_copy(0, ids, self.next_levels[ids])

    def spread(self, levels: int = 0) -> None:
        """Spread the worlds evenly over the kinds and the first `levels` levels (0: all), from their next episodes on,
        and keep them there."""
        worlds = torch.arange(len(self.columns), device=self.columns.device)
        self.next_columns = worlds % len(self.terrain.kinds)
        self.next_levels = (worlds // len(self.terrain.kinds)) % (levels or self.rows)
        self.fixed = True

    def fix(self, level: int, column: int | None = None) -> None:
        """Put every world on `level` and, if that is given, on `column` from its next episode on, and keep it
        there."""
        if not 0 <= level < self.rows:
            raise UserError(f"terrain level must be at least 0 and at most {self.rows - 1}, got {level}")
        self.next_levels = torch.full_like(self.next_levels, level)
        if column is not None:
            self.next_columns = torch.full_like(self.next_columns, column)
        self.fixed = True

    def middles(self) -> Tensor:
        """Middles [N, 2] of the tiles the worlds are on, m."""
        return self.origins[self.levels, self.columns, :2]

    def height(self, points: Tensor) -> Tensor:
        """Heights [N, P] in m of the ground below points [N, P, 2]."""
        return self._heights.at(points)

    def exact(self, truth: Mapping[str, Tensor]) -> Tensor:
        """The true scan [N, k] in m."""
        places = scan_places(truth["base_position"], truth["orientation"], self._grid)
        return self._relative(self.height(places), truth)

    def signals(self, truth: Truth) -> dict[str, Tensor]:
        """`height_scan` [N, k] m through the drifted map, if it is sensed."""
        if not self._sensed:
            return {}
        position = truth["base_position"] + self.drift
        places = scan_places(position, truth["orientation"], self._grid)
        return {"height_scan": self._relative(self.height(places) + self.drift[:, 2:], truth)}

    def _relative(self, heights: Tensor, truth: Mapping[str, Tensor]) -> Tensor:
        return (heights - truth["base_position"][:, 2:3]).clamp(self._scan.low, self._scan.high)

    def snapshot(self) -> dict[str, Tensor]:
        tensors = ("drift", "levels", "next_levels", "columns", "next_columns")
        return {**{name: getattr(self, name).clone() for name in tensors}, "fixed": torch.tensor(self.fixed)}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        # Earlier versions had no next column: a world kept its own.
        for name in ("drift", "levels", "next_levels", "columns", "next_columns"):
            setattr(self, name, snapshot.get(name, snapshot["columns"]).clone())
        self.fixed = bool(snapshot["fixed"])
