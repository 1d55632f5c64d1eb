"""Setpoints from elsewhere, such as a topic: the newest pose, within limits, as long as it is fresh."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from deploy.bundle.manifest import Manifest
from real.contract.events import Fault
from real.contract.goal import Target
from real.contract.robot import Array

POSE_TIMEOUT = 0.5
"""Age in s beyond which a pose is no longer followed: the target stops where it is."""
SPEED = 1.0
"""Largest speed of the target in m/s; at most half of the policy's largest speed."""
ACCELERATION = 2.0
"""Largest change of the target's velocity in m/s^2."""
FENCE_MARGIN = 0.3
"""How far, in m, the target stays away from the geofence."""
GROUND_MARGIN = 0.1
"""How far, in m, it stays above the ground."""
_LONGEST_STEP = 0.1


class PoseFollower:
    """Turns positions in m along the world's axes into a target that moves smoothly, inside the geofence.

    Until the first pose the target is that of the flight's own setpoint, which also takes off.
    """

    def __init__(
        self, manifest: Manifest, newest: Callable[[], tuple[Array, float] | None], begins_after: float = 0.0
    ) -> None:
        """`newest` gives the newest position [3] and when it came, in s of the host's clock; poses count from
        `begins_after` s of flight on."""
        safety = manifest.safety
        assert safety.geofence_low is not None and safety.geofence_high is not None and safety.max_speed is not None
        self._fence = np.array(safety.geofence_low), np.array(safety.geofence_high)
        self._speed = min(SPEED, 0.5 * safety.max_speed)
        self._newest = newest
        self._begins_after = begins_after
        self._begun = self._time = math.nan
        self._low, self._high = self._fence
        self._position, self._velocity = np.zeros(3), np.zeros(3)
        self._follows = False
        self._reported: set[str] = set()

    def begin(self, now: float, origin: Array, ground: float) -> None:
        """The flight begins at `origin` [3] m; `ground` m is the ground's height in the same frame."""
        margin = np.minimum(FENCE_MARGIN, 0.25 * (self._fence[1] - self._fence[0]))
        self._low, self._high = origin + self._fence[0] + margin, origin + self._fence[1] - margin
        self._low[2] = min(max(self._low[2], ground + GROUND_MARGIN), self._high[2])
        self._begun = now
        self._follows = False

    def target(self, now: float, own: Target) -> Target:
        """The target at `now` s; `own` is what the flight's setpoint asks for, until the first pose."""
        pose = self._pose(now)
        if not self._follows:
            self._position, self._velocity, self._time = own.position.copy(), own.velocity.copy(), now
            self._follows = pose is not None
            return own
        elapsed = min(max(now - self._time, 0.0), _LONGEST_STEP)
        self._time = now
        self._move(pose, elapsed)
        return Target(self._position.copy(), self._velocity.copy())

    def faults(self, now: float) -> list[Fault]:
        """Faults that began since the last call: poses that stopped coming, and one that lies outside the limits."""
        found = self._newest()
        present = []
        if self._follows and found is not None:
            age = now - found[1]
            if age > POSE_TIMEOUT:
                present.append(Fault("setpoint_lost", age, POSE_TIMEOUT, "the target stays until another one comes"))
            outside = np.maximum(self._low - found[0], found[0] - self._high)
            axis = int(np.argmax(outside))
            if outside[axis] > 0.0:
                limit = self._low[axis] if found[0][axis] < self._low[axis] else self._high[axis]
                present.append(Fault("setpoint_clamped", float(found[0][axis]), float(limit), "xyz"[axis]))
        fresh = [fault for fault in present if fault.cause not in self._reported]
        self._reported = {fault.cause for fault in present}
        return fresh

    def _pose(self, now: float) -> Array | None:
        """The newest pose inside the limits, or None when it is too old or the vehicle still takes off."""
        found = self._newest()
        if found is None or now - found[1] > POSE_TIMEOUT or now - self._begun < self._begins_after:
            return None
        return np.clip(found[0], self._low, self._high)

    def _move(self, pose: Array | None, elapsed: float) -> None:
        """One step of `elapsed` s: towards `pose`, slow enough to stop there, or to a stop."""
        wanted = np.zeros(3)
        if pose is not None:
            offset = pose - self._position
            distance = float(np.linalg.norm(offset))
            # Half of the necessary deceleration leaves room for the discretisation of time.
            speed = min(self._speed, math.sqrt(ACCELERATION * distance), 2.0 * distance)
            wanted = offset * (speed / max(distance, 1e-9))
        change = wanted - self._velocity
        most = ACCELERATION * elapsed
        size = float(np.linalg.norm(change))
        self._velocity = wanted if size <= most else self._velocity + change * (most / size)
        self._position = np.clip(self._position + self._velocity * elapsed, self._low, self._high)
