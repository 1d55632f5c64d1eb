"""Settings of the simulated Crazyflie, checked when built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from policies.errors import UserError
from real.ros.connection import RosbridgeConnection


@dataclass(frozen=True)
class CrazyflieSettings(RosbridgeConnection):
    """A quadrotor in real time behind a rosbridge server. Raises UserError, in one line, for a bad setting."""

    parameters: Literal["crazyflie", "crazyflie-2025", "crazyflie-firmware"] = "crazyflie-2025"
    """Which quadrotor to simulate, by the names of sim.robots.crazyflie."""
    seed: int = 0
    """Seed of the sensor noise."""
    noise: float = 1.0
    """Sensor noise as a multiple of the published one; 0 is none."""
    start: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Where it begins, in m in the world frame, held by its onboard controller; the ground is at height 0."""
    log: str = ""
    """JSON-lines file of every command, rejection, change of state and rotor speed applied; empty writes none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.noise < math.inf:
            raise UserError(f"noise is {self.noise}, expected at least 0")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected at least 0")
        if not all(math.isfinite(v) for v in self.start) or self.start[2] < 0.05:
            raise UserError(f"start is {self.start}, expected finite values and a height of at least 0.05 m")
