"""The ground that a simulated legged robot walks on, and the elevation map of it that the robot sends."""

from __future__ import annotations

import numpy as np

from policies.errors import UserError
from real.ros.elevation_messages import ElevationMap
from real.ros.fields import Array
from sim.terrain.kinds import CELL, KINDS
from sim.terrain.terrain import TerrainSettings, build_terrain

HALF_CELLS = 20
"""Cells from the middle of the map to its edges; with cells of 0.05 m, which are those of stairs, 1 m."""
LEVELS = TerrainSettings().rows


def kind_and_level(words: str) -> tuple[str, int]:
    """Kind and level of a terrain in words, such as "stairs_up:3"; a UserError says what is wrong."""
    kind, _, level = words.partition(":")
    if kind not in KINDS or not (level.isascii() and level.isdigit() and int(level) < LEVELS):
        raise UserError(
            f"terrain is {words!r}, expected KIND:LEVEL, such as stairs_up:3, with a kind of {', '.join(KINDS)} and a "
            f"level from 0 to {LEVELS - 1}"
        )
    return kind, int(level)


class Course:
    """Flat ground for "", otherwise a terrain in the words of `kind_and_level`, whose hardest tile the robot starts on.

    Easier tiles lie behind the robot, level ground lies beyond all tiles.
    """

    def __init__(self, words: str, seed: int = 0) -> None:
        self.terrain = None
        self.start: Array = np.zeros(3)
        """Where the robot starts, on the ground, m."""
        if words:
            kind, level = kind_and_level(words)
            self.terrain = build_terrain(TerrainSettings(kinds=(kind,), rows=level + 1, seed=seed))
            self.start = self.terrain.origins[level, 0].copy()

    def elevation(self, position: Array, stamp: int, frame: str) -> ElevationMap:
        """The map around `position` [2 or 3] m in the world, which is called `frame`, at `stamp` ns."""
        middle = np.round(position[:2] / CELL) * CELL
        offsets = (HALF_CELLS - 0.5 - np.arange(2 * HALF_CELLS)) * CELL
        x, y = np.meshgrid(middle[0] + offsets, middle[1] + offsets, indexing="ij")
        heights = np.zeros_like(x)
        if self.terrain is not None:
            import torch

            heights = self.terrain.heights.at(torch.from_numpy(np.stack((x, y), -1))).numpy()
        return ElevationMap(stamp, frame, middle, CELL, heights.astype(np.float64))
