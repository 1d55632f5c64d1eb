"""The mission of a flying robot: follow a setpoint, then land."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.contract.events import Fault
from real.contract.goal import Goal, Target
from real.contract.offer import Signal
from real.contract.robot import Array, LinkStatus, RobotReading
from real.contract.state_machine import FLIGHT, State, Trigger
from real.missions.landing import Landing
from real.missions.mission import Advance, Kind, OwnCommand, check_duration
from real.missions.setpoint import Setpoint, jump_time
from real.recording.report import FlightTrace, PositionError

KIND = Kind(
    "flight",
    goals=(Signal("target_position", 3, "m", "world"), Signal("target_velocity", 3, "m/s", "world")),
    demands=("safety.max_tilt", "safety.max_position_error", "safety.max_speed", "safety.geofence_low"),
)


class Flight:
    """Follows `setpoint`, relative to the start, for `duration` s, then lands on the ground at `ground` m.

    Raises UserError for a bundle that does not fly, and for a setpoint that would end the flight by itself.
    """

    kind: ClassVar[Kind] = KIND
    table = FLIGHT
    done = "flew and landed"
    none = "no flight"
    rested = "and landed"

    def __init__(self, manifest: Manifest, setpoint: Setpoint, duration: float, ground: float = 0.0) -> None:
        if not math.isfinite(ground):
            raise UserError(f"ground must be a height in m, got {ground}")
        check_duration(duration)
        KIND.check(manifest)
        check_setpoint(manifest, setpoint, duration)
        self.ground = ground
        self._setpoint = setpoint
        self._duration = duration
        self._safe = {c.name: np.array(c.safe) for c in manifest.commands}
        self._started = math.nan
        self._origin: Array = np.zeros(3)
        self._landing: Landing | None = None
        self._ramping_down = False

    @property
    def landing(self) -> bool:
        """Whether the landing has begun."""
        return self._landing is not None

    def refuses(self, link: LinkStatus) -> Fault | None:
        """Every robot may be armed."""
        return None

    def begin(self, now: float, reading: RobotReading) -> None:
        """The setpoint's origin is where the vehicle is."""
        self._started = now
        self._origin = reading.sensors["position"].copy()

    def asked_to_end(self, now: float, state: State, requested: bool) -> Fault | None:
        """Only a flight under the policy can be asked to land."""
        if state != State.POLICY:
            return None
        if requested:
            return Fault("stop_requested")
        flown = now - self._started
        return Fault("duration_over", flown, self._duration) if flown >= self._duration else None

    def goal(self, now: float, state: State) -> Target:
        """The target in the world frame."""
        if self._landing is not None:
            return self._landing.target(now)
        relative = self._setpoint.at(now - self._started)
        return Target(self._origin + relative.position, relative.velocity)

    def advance(
        self, now: float, state: State, goal: Goal, newest: RobotReading | None, usable: RobotReading | None
    ) -> Sequence[Advance]:
        """Begin a landing where the target is, detect its end, and give it up when it takes too long."""
        if state != State.LAND:
            return self.findings(now, state)
        if self._landing is None:
            assert isinstance(goal, Target)
            height = float(goal.position[2] if newest is None else newest.sensors["position"][2])
            self._landing = Landing(now, goal, self.ground, height)
        elif self._landing.timed_out(now):
            fault = Fault("land_timeout", self._landing.longest, self._landing.longest)
            return [Advance(Trigger.DAMP, fault.cause, fault)]
        elif usable is not None and self._landing.landed(now, usable):
            return self.touched_down()
        return []

    def findings(self, now: float, state: State) -> Sequence[Advance]:
        """Steps that only record a fault, before the landing: none."""
        return []

    def touched_down(self) -> Sequence[Advance]:
        """The vehicle stands on the ground: the command goes to its safe value."""
        self._ramping_down = True
        return []

    def own_command(self, now: float, state: State, reading: RobotReading) -> OwnCommand | None:
        """On the ground the command goes to its safe value, as fast as its rate limit allows."""
        return OwnCommand(self._safe, quiet=True) if self._ramping_down else None

    def sent(self, now: float, state: State, command: Mapping[str, Array]) -> Advance | None:
        """The flight is over when the actuators have their safe value."""
        if self._ramping_down and all(np.array_equal(command[n], self._safe[n]) for n in self._safe):
            return Advance(Trigger.DONE, "landed")
        return None

    def trace(self, trace: FlightTrace, now: float, state: State, goal: Goal, reading: RobotReading) -> None:
        """The distance to the target under the policy."""
        if state == State.POLICY and isinstance(goal, Target):
            trace.position(now - self._started, float(np.linalg.norm(reading.sensors["position"] - goal.position)))

    def after_step(self, trace: FlightTrace) -> PositionError | None:
        """From the step on."""
        time = jump_time(self._setpoint)
        return None if time is None else trace.position_error(time)


def check_setpoint(manifest: Manifest, setpoint: Setpoint, duration: float) -> None:
    """Raise UserError for a setpoint that would end a flight of `duration` s by itself."""
    safety = manifest.safety
    assert safety.max_position_error is not None and safety.max_speed is not None
    assert safety.geofence_low is not None and safety.geofence_high is not None
    if setpoint.largest_jump() >= safety.max_position_error:
        raise UserError(
            f"the setpoint jumps by {setpoint.largest_jump():g} m; choose less than the policy's largest position "
            f"error, {safety.max_position_error:g} m"
        )
    targets = [setpoint.at(t) for t in np.arange(0.0, duration, 0.02)]
    fastest = max(float(np.linalg.norm(target.velocity)) for target in targets)
    if fastest >= safety.max_speed:
        raise UserError(
            f"the setpoint moves at up to {fastest:.2g} m/s; choose less than the policy's largest speed, "
            f"{safety.max_speed:g} m/s"
        )
    path = np.array([target.position for target in targets])
    low, high = path.min(axis=0), path.max(axis=0)
    if (low <= np.array(safety.geofence_low)).any() or (high >= np.array(safety.geofence_high)).any():
        raise UserError(
            f"the setpoint reaches from {low.round(2).tolist()} to {high.round(2).tolist()} m; keep it inside the "
            f"policy's geofence, {list(safety.geofence_low)} to {list(safety.geofence_high)} m"
        )
