"""The settings of a walking world, besides its robot and its terms."""

from __future__ import annotations

from dataclasses import dataclass

from policies.validation import check, require
from sim.physics.world import Solver


@dataclass(frozen=True)
class LeggedSettings:
    """A walking world. `gait` is the phase of each foot in turns; a foot is down while its phase is below `duty`."""

    gait: tuple[float, ...]
    frequency: float = 2.5
    """Strides a second."""
    duty: float = 0.55
    """Share of a stride that a foot is on the ground."""
    clearance: float = 0.09
    """Height in m of a foot's centre in mid-swing."""
    solver: Solver = Solver()
    """How physics solves the equations of motion."""

    def __post_init__(self) -> None:
        for name in ("frequency", "clearance"):
            require(self, name, above=0.0)
        require(self, "duty", above=0.0, below=1.0)
        check(bool(self.gait), "gait must hold a phase for each foot")
        require(self, "gait", low=0.0, below=1.0)
