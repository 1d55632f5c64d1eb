"""Ground that many worlds share: tiles in rows of difficulty and columns of kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Terrain:
    """One shared ground; `origins` [rows, columns, 3] are where a robot starts in each tile, in m."""

    kinds: tuple[str, ...]
    """The kind of each column."""
    origins: NDArray[np.float64]
    tile: float
    """Edge of a square tile in m."""
    add_to: Callable[[Any], None]
    """Adds the ground's geoms to an MjSpec."""
