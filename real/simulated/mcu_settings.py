"""Settings of the simulated quadrotor whose flight computer is an emulated chip, checked when built."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from policies.errors import UserError


@dataclass(frozen=True)
class McuQuadSettings:
    """A quadrotor flown by its own firmware on an emulated STM32F405. Raises UserError, in one line, for a bad
    setting."""

    port: int = 5760
    """TCP port on the loopback address for the chip's serial port, for one host at a time; 0 takes any free one."""
    parameters: Literal["crazyflie", "crazyflie-2025", "crazyflie-firmware"] = "crazyflie-2025"
    """Which quadrotor to simulate, by the names of sim.robots.crazyflie."""
    seed: int = 0
    """Seed of the sensor noise."""
    noise: float = 1.0
    """Sensor noise as a multiple of the published one; 0 is none."""
    start: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where it begins, in m: on the ground, or held in the air until the chip flies."""
    as_fast: bool = False
    """Fly as fast as the machine can, not in real time: for programs that use the chip's time."""
    log: str = ""
    """JSON-lines file of every change of the chip's state and of the motor commands; empty writes none."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise UserError(f"port is {self.port}, expected 0 to 65535")
        if not 0.0 <= self.noise < math.inf:
            raise UserError(f"noise is {self.noise}, expected at least 0")
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}, expected at least 0")
        if not all(math.isfinite(v) for v in self.start) or self.start[2] < 0.0:
            raise UserError(f"start is {self.start}, expected finite values and a height of at least 0 m")
