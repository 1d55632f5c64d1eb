"""Ground that many worlds share: square tiles, one column per kind along y, one row per level of difficulty along x.

The whole ground is centred on the world's origin. Kinds with edges are boxes, because the edges of a height field lean;
smooth ones are height fields. Every static geom costs each world time in every step, so tiles are made of few boxes.
Around the tiles lies a level border at height 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from sim.terrain.heights import HeightMap
from sim.terrain.kinds import BLOCK_KINDS, CELL, FIELD_KINDS, KINDS, PLATFORM, Block

MAX_SAMPLES = 4_000_000
FRICTION = (0.8, 0.02, 0.01)
MATERIAL = "world/ground"
"""Of the ground in an MjSpec; a name that robots' own MJCF will hardly have."""
BORDER = 30.0
THICKNESS = 0.5


@dataclass(frozen=True)
class TerrainSettings:
    """What ground to build."""

    kinds: tuple[str, ...] = ("flat", "rough", "slope_up", "slope_down", "stairs_up", "stairs_down", "blocks", "gaps")
    """The kind of each column; a kind may have several columns."""
    rows: int = 8
    """Levels of difficulty."""
    tile: float = 8.0
    """Edge of a tile in m."""
    resolution: float = 0.1
    """Distance of a height field's samples in m."""
    seed: int = 0
    """Of the random heights."""

    def __post_init__(self) -> None:
        if not self.kinds:
            raise UserError(f"terrain: kinds must name at least one of {', '.join(KINDS)}")
        for kind in self.kinds:
            if kind not in KINDS:
                raise UserError(f"terrain: there is no kind {kind!r}; kinds: {', '.join(KINDS)}")
        if self.rows < 1:
            raise UserError(f"terrain: rows must be at least 1, got {self.rows}")
        if not 4.0 <= self.tile <= 100.0:
            raise UserError(f"terrain: tile must be at least 4 m and at most 100 m, got {self.tile}")
        if not 0.01 <= self.resolution <= 0.5:
            raise UserError(f"terrain: resolution must be at least 0.01 m and at most 0.5 m, got {self.resolution}")
        for field, step in (("resolution", self.resolution), ("a cell of boxes", CELL)):
            if abs(self.tile / 2 / step - round(self.tile / 2 / step)) > 1e-6:
                raise UserError(f"terrain: half a tile must be a multiple of {field}, {step} m, got tile {self.tile}")
        along, across = self.rows * round(self.tile / self.resolution) + 1, round(self.tile / self.resolution) + 1
        cells = self.rows * len(self.kinds) * round(self.tile / CELL) ** 2
        if along * across > MAX_SAMPLES or cells > 8 * MAX_SAMPLES:
            raise UserError(
                f"terrain: height field too large: {along} x {across} samples a column and {cells} cells in all "
                f"(limits {MAX_SAMPLES} and {8 * MAX_SAMPLES}); use fewer rows, smaller tiles or a coarser resolution"
            )


@dataclass(frozen=True, eq=False)
class Terrain:
    """One shared ground. `origins` [rows, columns, 3] are where robots start, on the ground, in m."""

    settings: TerrainSettings
    origins: NDArray[np.float64]
    blocks: tuple[Block, ...]
    """All boxes, in world coordinates."""
    fields: dict[int, NDArray[np.float64]]
    """Heights [rows * samples + 1, samples + 1] of the smooth columns, by column."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each column."""
        return self.settings.kinds

    @property
    def rows(self) -> int:
        return self.settings.rows

    @property
    def tile(self) -> float:
        """Edge of a tile in m."""
        return self.settings.tile

    @property
    def size(self) -> tuple[float, float]:
        """Extent along x and y in m, without the border."""
        return self.tile * self.rows, self.tile * len(self.kinds)

    @cached_property
    def heights(self) -> HeightMap:
        """Exact heights of the ground by place, as tensors."""
        return HeightMap.of(self.size, self.tile, len(self.kinds), self.blocks, self.fields, self.settings.resolution)

    def add_to(self, spec: Any) -> None:
        """Add the ground's geoms to an MjSpec with the material MATERIAL."""
        bottom = self.lowest - THICKNESS
        for number, block in enumerate((*self.blocks, *_border(self.size))):
            (x0, x1), (y0, y1) = block.x, block.y
            spec.worldbody.add_geom(
                name=f"world/ground_{number}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=((x0 + x1) / 2, (y0 + y1) / 2, (block.top + bottom) / 2),
                size=((x1 - x0) / 2, (y1 - y0) / 2, (block.top - bottom) / 2),
                **_look(),
            )
        for column, heights in self.fields.items():
            self._add_field(spec, column, heights)

    @property
    def lowest(self) -> float:
        """Height of the deepest ground in m."""
        tops = [block.top for block in self.blocks] + [float(field.min()) for field in self.fields.values()]
        return min(0.0, *tops)

    def _add_field(self, spec: Any, column: int, heights: NDArray[np.float64]) -> None:
        low, span = float(heights.min()), max(float(np.ptp(heights)), 1e-3)
        name = f"world/field_{column}"
        scaled = ((heights - low) / span).T  # MuJoCo: rows along y, columns along x
        spec.add_hfield(
            name=name,
            size=(self.size[0] / 2, self.tile / 2, span, THICKNESS),
            nrow=scaled.shape[0],
            ncol=scaled.shape[1],
            userdata=scaled.astype(np.float32).ravel(),
        )
        middle = (column + 0.5) * self.tile - self.size[1] / 2
        spec.worldbody.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=name, pos=(0.0, middle, low), **_look()
        )


def _look() -> dict[str, Any]:
    return {"material": MATERIAL, "contype": 1, "conaffinity": 0, "friction": FRICTION}


def _border(size: tuple[float, float]) -> list[Block]:
    x, y = size[0] / 2, size[1] / 2
    return [
        Block((-x - BORDER, -x), (-y - BORDER, y + BORDER), 0.0),
        Block((x, x + BORDER), (-y - BORDER, y + BORDER), 0.0),
        Block((-x, x), (-y - BORDER, -y), 0.0),
        Block((-x, x), (y, y + BORDER), 0.0),
    ]


def build_terrain(settings: TerrainSettings) -> Terrain:
    """The ground that `settings` describe; the same settings give the same ground."""
    random = np.random.default_rng(settings.seed)
    tile, half = settings.tile, settings.tile / 2
    columns = len(settings.kinds)
    blocks: list[Block] = []
    fields: dict[int, NDArray[np.float64]] = {}
    origins = np.zeros((settings.rows, columns, 3))
    for column, kind in enumerate(settings.kinds):
        middle_y = (column + 0.5) * tile - columns * half
        samples = round(tile / settings.resolution)
        if kind in FIELD_KINDS:
            fields[column] = np.zeros((settings.rows * samples + 1, samples + 1))
        for level in range(settings.rows):
            middle_x = (level + 0.5) * tile - settings.rows * half
            origins[level, column, :2] = middle_x, middle_y
            if kind in BLOCK_KINDS:
                tiles = BLOCK_KINDS[kind](level, half)
                top = max(block.top for block in tiles if block.x[0] < 0 < block.x[1] and block.y[0] < 0 < block.y[1])
                blocks += [_moved(block, middle_x, middle_y) for block in tiles]
            else:
                edge = np.linspace(-half, half, samples + 1)
                x, y = np.meshgrid(edge, edge, indexing="ij")
                heights = FIELD_KINDS[kind](level, half, x, y, random)
                fields[column][level * samples : (level + 1) * samples + 1] = heights
                near = np.maximum(np.abs(x), np.abs(y)) <= PLATFORM / 2
                top = float(heights[near].max())
            origins[level, column, 2] = top
    return Terrain(settings, origins, tuple(blocks), fields)


def _moved(block: Block, x: float, y: float) -> Block:
    return Block((block.x[0] + x, block.x[1] + x), (block.y[0] + y, block.y[1] + y), block.top)
