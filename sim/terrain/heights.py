"""Heights of the ground by place, without casting rays: the very surfaces that feet touch, looked up in tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim.terrain.kinds import CELL, Block


@dataclass(frozen=True, eq=False)
class HeightMap:
    """Heights of boxes as cells and of height fields as triangles; 0 outside the tiles."""

    size: tuple[float, float]
    tile: float
    smooth: Tensor
    """Whether each column [columns] is a height field."""
    cells: Tensor
    """Heights [X, Y] of cells of CELL m."""
    samples: Tensor
    """Heights [columns, rows * n + 1, n + 1] at `resolution` m; zeros for columns of boxes."""
    resolution: float

    @staticmethod
    def of(
        size: tuple[float, float],
        tile: float,
        columns: int,
        blocks: tuple[Block, ...],
        fields: dict[int, NDArray[np.float64]],
        resolution: float,
    ) -> HeightMap:
        cells = np.full((round(size[0] / CELL), round(size[1] / CELL)), -np.inf, dtype=np.float32)
        for block in blocks:
            x0, x1 = (round((x + size[0] / 2) / CELL) for x in block.x)
            y0, y1 = (round((y + size[1] / 2) / CELL) for y in block.y)
            part = cells[x0:x1, y0:y1]
            np.maximum(part, block.top, out=part)
        n = round(tile / resolution)
        samples = np.zeros((columns, round(size[0] / resolution) + 1, n + 1), dtype=np.float32)
        for column, heights in fields.items():
            samples[column] = heights
        return HeightMap(
            size=size,
            tile=tile,
            smooth=torch.tensor([column in fields for column in range(columns)]),
            cells=torch.from_numpy(np.where(np.isfinite(cells), cells, 0.0).astype(np.float32)),
            samples=torch.from_numpy(samples),
            resolution=resolution,
        )

    def to(self, device: str) -> HeightMap:
        """The same heights on another device."""
        return replace(
            self, smooth=self.smooth.to(device), cells=self.cells.to(device), samples=self.samples.to(device)
        )

    def at(self, points: Tensor) -> Tensor:
        """Heights [...] of the ground in m under places [..., 2] (x, y in the world, m)."""
        along = points[..., 0] + self.size[0] / 2
        across = points[..., 1] + self.size[1] / 2
        outside = (along < 0) | (across < 0) | (along >= self.size[0]) | (across >= self.size[1])
        along = along.clamp(0, self.size[0] - 1e-4)
        across = across.clamp(0, self.size[1] - 1e-4)
        column = (across / self.tile).long().clamp_(max=len(self.smooth) - 1)
        i = (along / CELL).long().clamp_(max=self.cells.shape[0] - 1)
        j = (across / CELL).long().clamp_(max=self.cells.shape[1] - 1)
        heights = self.cells[i, j]
        if self.smooth.any():
            heights = torch.where(self.smooth[column], self._triangles(column, along, across), heights)
        return torch.where(outside, 0.0, heights)

    def _triangles(self, column: Tensor, along: Tensor, across: Tensor) -> Tensor:
        """Heights of MuJoCo's two triangles per square; they meet along the diagonal from (0, 0) to (1, 1)."""
        u = along / self.resolution
        v = (across - column * self.tile) / self.resolution
        i = u.long().clamp_(0, self.samples.shape[1] - 2)
        j = v.long().clamp_(0, self.samples.shape[2] - 2)
        a, b = u - i, v - j
        h00, h11 = self.samples[column, i, j], self.samples[column, i + 1, j + 1]
        h10, h01 = self.samples[column, i + 1, j], self.samples[column, i, j + 1]
        lower = h00 + a * (h10 - h00) + b * (h11 - h10)
        upper = h00 + b * (h01 - h00) + a * (h11 - h01)
        return torch.where(a >= b, lower, upper)


def scan_grid(length: float, width: float, spacing: float) -> Tensor:
    """Places [k, 2] of a scan in the robot's heading frame: x forward, y left, centred on the base; m."""
    x = torch.arange(-length / 2, length / 2 + 1e-6, spacing)
    y = torch.arange(-width / 2, width / 2 + 1e-6, spacing)
    return torch.cartesian_prod(x, y)


def scan_places(position: Tensor, orientation: Tensor, grid: Tensor) -> Tensor:
    """Places [N, k, 2] in the world of the scan's `grid` [k, 2] around robots at `position` [N, 2 or 3].

    Of the `orientation` [N, 4] (w, x, y, z) only the heading counts.
    """
    w, x, y, z = orientation.unbind(-1)
    heading = torch.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    cos, sin = heading.cos()[:, None], heading.sin()[:, None]
    forward, left = grid[:, 0], grid[:, 1]
    turned = torch.stack((cos * forward - sin * left, sin * forward + cos * left), dim=-1)
    return position[:, None, :2] + turned
