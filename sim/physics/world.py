"""What physics simulates: a robot, the ground below it, and how the equations of motion are solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from policies.errors import UserError
from policies.validation import require, require_choice
from sim.robots.robot import Robot
from sim.terrain.terrain import Terrain

INTEGRATORS = ("euler", "implicitfast", "implicit", "rk4")
CONES = ("pyramidal", "elliptic")


@dataclass(frozen=True)
class Solver:
    """How the equations of motion are solved. It belongs to a task's world; the options in a robot's MJCF are not used.

    The defaults suit robots on feet: `implicitfast` treats the damping of motors implicitly, and a few Newton steps
    suffice for feet on the ground.
    """

    timestep: float = 0.01
    """Length of a substep in s."""
    integrator: Literal["euler", "implicitfast", "implicit", "rk4"] = "implicitfast"
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Shape of the friction cones."""
    iterations: int = 10
    """Most steps of the constraint solver."""
    line_search: int = 20
    """Most steps of its line search."""
    impratio: float = 1.0
    """Ratio of the stiffness of friction to that of normal forces; with a larger one contacts creep less."""
    contact: tuple[float, float] | None = None
    """Time constant in s and damping ratio of all contacts; None for those of each geom."""
    islands: bool = False
    """Whether to solve groups of bodies that do not touch each other one by one. A robot is one group: searching for
    more takes 8 % of a step and does not change the result."""

    def __post_init__(self) -> None:
        for name in ("timestep", "impratio"):
            require(self, name, above=0.0)
        for name in ("iterations", "line_search"):
            require(self, name, low=1)
        require_choice(self, "integrator", INTEGRATORS)
        require_choice(self, "cone", CONES)


@dataclass(frozen=True)
class WorldSpec:
    """A robot on `terrain`, or on a plane if that is None; a step is a control period of `period` s.

    Raises UserError when the solver's timestep does not divide the control period.
    """

    robot: Robot
    period: float
    solver: Solver = Solver()
    terrain: Terrain | None = None

    def __post_init__(self) -> None:
        substeps = self.period / self.solver.timestep
        if substeps < 0.999 or abs(substeps - round(substeps)) > 1e-6:
            raise UserError(f"timestep must divide the control period of {self.period} s, got {self.solver.timestep}")

    @property
    def substeps(self) -> int:
        """Substeps of a step."""
        return round(self.period / self.solver.timestep)
