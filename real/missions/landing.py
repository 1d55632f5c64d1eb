"""The end of a flight: a target that sinks to the ground, and how the touchdown is detected."""

from __future__ import annotations

from real.contract.goal import Target
from real.contract.robot import RobotReading
from real.missions.setpoint import Descend

DESCENT_RATE = 0.3
"""m/s."""
BELOW_GROUND = 0.2
"""How far, in m, the target sinks below the assumed ground, so that a policy's offset can't keep the vehicle up."""


class Landing:
    """One landing from `start` (world frame) to the ground at `ground` m, begun at `begun` s of the host's clock.

    The vehicle has landed when one of these lasts for a while: it is at or below the ground's height; it is within 5
    cm of it and hardly moves; or it hardly moves although the target is well below it: then the ground is higher than
    assumed.
    """

    def __init__(self, begun: float, start: Target, ground: float, height: float) -> None:
        """`height` m is the vehicle's own height in the world, which decides how long the landing may take."""
        x, y, z = (float(v) for v in start.position)
        self._begun = begun
        self._ground = ground
        vx, vy, _ = (float(v) for v in start.velocity)
        self._descend = Descend((x, y, z), ground - BELOW_GROUND, DESCENT_RATE, (vx, vy))
        self._deadline = begun + 1.5 * max(0.0, max(z, height) - ground) / DESCENT_RATE + 5.0
        self._since: dict[str, float] = {}

    @property
    def longest(self) -> float:
        """The longest time in s that the landing may take."""
        return self._deadline - self._begun

    def target(self, now: float) -> Target:
        """The target at the host's time `now`."""
        return self._descend.at(now - self._begun)

    def timed_out(self, now: float) -> bool:
        """Whether the landing takes too long."""
        return now > self._deadline

    def landed(self, now: float, reading: RobotReading) -> bool:
        """Whether the vehicle stands on the ground; called once a tick with the newest reading."""
        z = float(reading.sensors["position"][2])
        climb = abs(float(reading.sensors["linear_velocity"][2]))
        height = z - self._ground
        return any(
            (
                self._lasts("below", height <= 0.0, now, 0.1),
                self._lasts("touching", height <= 0.05 and climb < 0.15, now, 0.1),
                self._lasts("stuck", self.target(now).position[2] < z - 0.2 and climb < 0.05, now, 0.5),
            )
        )

    def _lasts(self, name: str, holds: bool, now: float, seconds: float) -> bool:
        if not holds:
            self._since.pop(name, None)
            return False
        return now - self._since.setdefault(name, now) >= seconds
