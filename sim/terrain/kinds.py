"""The kinds of ground: what one square tile of each looks like at each level of difficulty.

Levels count from 0. At level 3 a stair is 0.10 m high and a slope 0.15 rad steep. Along its edges every tile is level
at height 0, so that tiles meet and a robot may leave one and come back in at the opposite edge. Each has a level
platform of PLATFORM m half width in its middle, where robots start. Lengths in m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Heights = NDArray[np.float64]
PLATFORM = 1.2
TREAD = 0.35
CELL = 0.05
"""Edges of boxes lie on multiples of this."""
MARGIN = 0.35
"""Width of the level ground at height 0 along a tile's edges."""


@dataclass(frozen=True)
class Block:
    """A block's extent in its tile, from the tile's middle, and the height of its top."""

    x: tuple[float, float]
    y: tuple[float, float]
    top: float


Blocks = Callable[[int, float], list[Block]]
"""A tile of level ground with edges: (level, half width of the tile) -> blocks; the highest one counts."""
Field = Callable[[int, float, Heights, Heights, np.random.Generator], Heights]
"""A tile of smooth ground: (level, half width, x, y, random) -> heights at the points x, y."""


def stair_height(level: int) -> float:
    """Of one step: 0.025 m to 0.20 m in eight levels."""
    return 0.025 * (level + 1)


def slope_angle(level: int) -> float:
    """0.0375 rad to 0.30 rad in eight levels."""
    return 0.0375 * (level + 1)


def roughness(level: int) -> float:
    """Largest height of random ground above and below its mean: 0.01 m to 0.08 m in eight levels."""
    return 0.01 * (level + 1)


def gap_width(level: int) -> float:
    """0.05 m to 0.20 m in eight levels."""
    return CELL * (1 + level // 2)


def _slab(half: float, top: float) -> Block:
    return Block((-half, half), (-half, half), top)


def _frame(inner: float, outer: float, top: float) -> list[Block]:
    """A square ring of four blocks."""
    return [
        Block((-outer, -inner), (-outer, outer), top),
        Block((inner, outer), (-outer, outer), top),
        Block((-inner, inner), (-outer, -inner), top),
        Block((-inner, inner), (inner, outer), top),
    ]


def _steps(half: float) -> int:
    return max(1, int((half - PLATFORM) / TREAD + 1e-9))


def _flat(level: int, half: float) -> list[Block]:
    return [_slab(half, 0.0)]


def _stairs_down(level: int, half: float) -> list[Block]:
    """A pyramid: the robot starts on its top."""
    count, rise = _steps(half), stair_height(level)
    return [_slab(half, 0.0)] + [
        _slab(PLATFORM + TREAD * (count - 1 - step), rise * (step + 1)) for step in range(count)
    ]


def _stairs_up(level: int, half: float) -> list[Block]:
    """A pit with steps on all sides: the robot starts at its bottom."""
    count, rise = _steps(half), stair_height(level)
    blocks = [_slab(PLATFORM, -rise * count)]
    for step in range(count):
        inner = PLATFORM + TREAD * step
        outer = half if step == count - 1 else inner + TREAD
        blocks += _frame(inner, outer, -rise * (count - 1 - step))
    return blocks


def _gaps(level: int, half: float) -> list[Block]:
    """Trenches 0.5 m deep around the platform, with 0.8 m of ground between them."""
    gap, path = gap_width(level), 0.8
    blocks = [_slab(half, -0.5), _slab(PLATFORM, 0.0)]
    inner = PLATFORM + gap
    while inner + path + gap + path <= half:
        blocks += _frame(inner, inner + path, 0.0)
        inner += path + gap
    return blocks + _frame(inner, half, 0.0)


def _rough(level: int, half: float, x: Heights, y: Heights, random: np.random.Generator) -> Heights:
    """Random heights 0.2 m apart, with straight lines between them."""
    count = int(np.ceil(2 * half / 0.2)) + 1
    coarse = random.uniform(-1.0, 1.0, (count, count)) * roughness(level)
    u, v = (x + half) / 0.2, (y + half) / 0.2
    i, j = (np.clip(w.astype(int), 0, count - 2) for w in (u, v))
    a, b = u - i, v - j
    rows = coarse[i, j] * (1 - a) + coarse[i + 1, j] * a
    after = coarse[i, j + 1] * (1 - a) + coarse[i + 1, j + 1] * a
    fade = np.clip((half - MARGIN - np.maximum(np.abs(x), np.abs(y))) / 0.3, 0.0, 1.0)
    return np.asarray((rows * (1 - b) + after * b) * fade)


def _hill(level: int, half: float, x: Heights, y: Heights) -> Heights:
    """Height of a pyramid of constant slope with a level top."""
    away = np.maximum(np.abs(x), np.abs(y))
    return np.asarray(np.tan(slope_angle(level)) * (half - MARGIN - np.clip(away, PLATFORM, half - MARGIN)))


def _slope_down(level: int, half: float, x: Heights, y: Heights, random: np.random.Generator) -> Heights:
    return _hill(level, half, x, y)


def _slope_up(level: int, half: float, x: Heights, y: Heights, random: np.random.Generator) -> Heights:
    return -_hill(level, half, x, y)


def _blocks(level: int, half: float, x: Heights, y: Heights, random: np.random.Generator) -> Heights:
    """Stepping blocks 0.5 m wide of random height, up to 0.02 m to 0.16 m apart, with steep sides."""
    count = int(np.ceil(2 * half / 0.5))
    heights = random.uniform(-1.0, 1.0, (count, count)) * roughness(level)
    i, j = (np.clip(((w + half) / 0.5 + 1e-9).astype(int), 0, count - 1) for w in (x, y))
    away = np.maximum(np.abs(x), np.abs(y))
    return np.where((away <= PLATFORM) | (away >= half - MARGIN), 0.0, heights[i, j])


BLOCK_KINDS: dict[str, Blocks] = {
    "flat": _flat,
    "stairs_up": _stairs_up,
    "stairs_down": _stairs_down,
    "gaps": _gaps,
}
FIELD_KINDS: dict[str, Field] = {
    "rough": _rough,
    "slope_up": _slope_up,
    "slope_down": _slope_down,
    "blocks": _blocks,
}
KINDS = (*BLOCK_KINDS, *FIELD_KINDS)

_SIZES: dict[str, Callable[[int], float]] = {
    "rough": roughness, "slope_up": slope_angle, "slope_down": slope_angle, "stairs_up": stair_height,
    "stairs_down": stair_height, "blocks": roughness, "gaps": gap_width,
}  # fmt: skip


def size_at(kind: str, level: int) -> float:
    """What makes a level of a kind hard: height of a step or width of a gap in m, slope in rad; 0 for flat ground."""
    return _SIZES[kind](level) if kind in _SIZES else 0.0
