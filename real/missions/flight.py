"""The mission of a flying robot: follow a setpoint, then land."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deploy.bundle.manifest import Manifest
from real.contract.events import Fault
from real.contract.goal import Goal, Target
from real.contract.robot import Array, LinkStatus, Reading
from real.contract.state_machine import FLIGHT, State, Trigger
from real.missions.landing import Landing
from real.missions.mission import Advance, OwnCommand
from real.missions.setpoint import Setpoint, jump_time
from real.recording.report import FlightTrace, PositionError


class Flight:
    """Follows `setpoint`, relative to the start, for `duration` s, then lands on the ground at `ground` m."""

    table = FLIGHT
    done = "flew and landed"
    none = "no flight"
    rested = "and landed"

    def __init__(self, manifest: Manifest, setpoint: Setpoint, duration: float, ground: float) -> None:
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
        """Refuses no robot."""
        return None

    def begin(self, now: float, reading: Reading) -> None:
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
        self, now: float, state: State, goal: Goal, newest: Reading | None, usable: Reading | None
    ) -> Sequence[Advance]:
        """Begin a landing where the target is, notice its end, and give it up when it takes too long."""
        if state != State.LAND:
            return self.notices(now, state)
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

    def notices(self, now: float, state: State) -> Sequence[Advance]:
        """What a flight gives cause to record under the policy: nothing."""
        return []

    def touched_down(self) -> Sequence[Advance]:
        """The vehicle stands on the ground: the command goes to its safe value."""
        self._ramping_down = True
        return []

    def own_command(self, now: float, state: State, reading: Reading) -> OwnCommand | None:
        """On the ground the command goes to its safe value, as fast as its rate limit lets it."""
        return OwnCommand(self._safe, quiet=True) if self._ramping_down else None

    def sent(self, now: float, state: State, command: Mapping[str, Array]) -> Advance | None:
        """The flight is over when the actuators have their safe value."""
        if self._ramping_down and all(np.array_equal(command[n], self._safe[n]) for n in self._safe):
            return Advance(Trigger.DONE, "landed")
        return None

    def trace(self, trace: FlightTrace, now: float, state: State, goal: Goal, reading: Reading) -> None:
        """The distance to the target under the policy."""
        if state == State.POLICY and isinstance(goal, Target):
            trace.position(now - self._started, float(np.linalg.norm(reading.sensors["position"] - goal.position)))

    def after_step(self, trace: FlightTrace) -> PositionError | None:
        """From the step on."""
        time = jump_time(self._setpoint)
        return None if time is None else trace.position_error(time)
