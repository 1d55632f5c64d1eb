"""Flying a chip that runs the policy itself: the same loop, supervisor and report, with the setpoint as the command.

The session's manifest is derived from the bundle's: it commands where to be in place of rotor speeds, within the
bundle's geofence and speed. Its "policy" passes the target on, so that everything between a setpoint and the link is
judged as a policy's command is: finite, within limits, fresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deploy.bundle.manifest import Manifest
from policies.specs import CommandSpec, SensorSpec
from real.contract.goal import Target
from real.contract.robot import Array, Reading, Robot
from real.contract.state_machine import State, Trigger
from real.contract.stop_requests import StopRequests
from real.control.session import FlightSettings, SettingsError, check_setpoint, check_signals, run_session
from real.missions.flight import Flight
from real.missions.mission import Advance, OwnCommand
from real.missions.poses import PoseFollower
from real.recording.report import FlightReport
from real.robots.serial import CHIP_SENSORS, VELOCITY_TARGET
from real.safety.envelope import POSITION_TARGET
from real.safety.readings import GOAL_SENSORS
from real.timing.schedule import Clock

TARGETS = {POSITION_TARGET: "target_position", VELOCITY_TARGET: "target_velocity"}
"""Command of a guided flight -> the sensor that the goal fills."""
_ROUNDING = 1e-6


class PassOn:
    """In the policy's place: the target is the command."""

    def reset(self) -> None:
        """There is nothing to forget."""

    def warm(self, steps: int = 0) -> None:
        """There is nothing to warm."""

    def with_substeps(self, substeps: int) -> PassOn:
        """A target is the same at any rate."""
        return self

    def step(self, sensors: Mapping[str, Array]) -> Mapping[str, Array]:
        """The target's position [3] m and velocity [3] m/s."""
        return {command: sensors[name] for command, name in TARGETS.items()}


@dataclass(frozen=True)
class GuidedBundle:
    """What `real.control.session` flies on a chip."""

    manifest: Manifest
    policy: PassOn


class GuidedFlight(Flight):
    """Follows the setpoint or, where there is a `follower`, poses from elsewhere; on the ground it asks for nothing
    more, since the chip's own fail-safe ends the flight there."""

    follower: PoseFollower | None = None

    def begin(self, now: float, reading: Reading) -> None:
        """The setpoint's origin is where the vehicle is."""
        super().begin(now, reading)
        if self.follower is not None:
            self.follower.begin(now, reading.sensors["position"], self.ground)

    def goal(self, now: float, state: State) -> Target:
        """The target in the world frame."""
        own = super().goal(now, state)
        # A landing begins where the target was at last, so that only one that has begun has a target of its own.
        return own if self.follower is None or self.landing else self.follower.target(now, own)

    def notices(self, now: float, state: State) -> Sequence[Advance]:
        """What the poses give cause to record."""
        if self.follower is None or state != State.POLICY:
            return []
        return [Advance(None, fault.cause, fault) for fault in self.follower.faults(now)]

    def touched_down(self) -> Sequence[Advance]:
        """The flight is over; the stop that follows lets the chip turn its motors off."""
        return [Advance(Trigger.DONE, "landed")]

    def own_command(self, now: float, state: State, reading: Reading) -> OwnCommand | None:
        """None: a setpoint has no safe value to go to."""
        return None


def fly_guided(
    manifest: Manifest,
    robot: Robot,
    settings: FlightSettings | None = None,
    follower: PoseFollower | None = None,
    clock: Clock | None = None,
    requests: StopRequests | None = None,
) -> FlightReport:
    """Fly the chip `robot`, which runs the policy of `manifest`, and land; the rest is as in
    `real.control.session.fly`."""
    settings = settings or FlightSettings()
    guided = guided_manifest(manifest)
    check_signals(guided)
    check_setpoint(guided, settings)
    mission = GuidedFlight(guided, settings.setpoint, settings.duration, settings.ground)
    mission.follower = follower
    return run_session(GuidedBundle(guided, PassOn()), robot, mission, settings, clock, requests)


def guided_manifest(manifest: Manifest) -> Manifest:
    """What the host of a chip supervises, for the bundle that the chip flies: the chip's sensors and its command within
    their limits, and targets as commands.

    A target may jump by the largest position error that the policy bears, and its velocity as far as its limits are
    apart. Raises SettingsError for a policy that no chip of this link flies.
    """
    name, safety, period = manifest.identity.name, manifest.safety, manifest.timing.period
    if manifest.joints is not None or len(manifest.commands) != 1 or manifest.commands[0].dim != 4:
        raise SettingsError(f"policy {name} can't be flown by a chip: the link carries four motor commands and no more")
    unknown = [s.name for s in manifest.sensors if s.name not in (*CHIP_SENSORS, *GOAL_SENSORS)]
    if unknown:
        sends = ", ".join(CHIP_SENSORS)
        raise SettingsError(f"policy {name} reads {', '.join(unknown)}, which the chip does not send; it sends {sends}")
    if safety.max_position_error is None or safety.max_speed is None:
        raise SettingsError(f"policy {name} can't be flown: its bundle has no geofence and speed limit")
    own = manifest.commands[0]
    slack = [_ROUNDING * (high - low) for low, high in zip(own.low, own.high, strict=True)]
    command = SensorSpec(
        own.name, own.dim, own.unit, "motors",
        tuple(v - s for v, s in zip(own.low, slack, strict=True)),
        tuple(v + s for v, s in zip(own.high, slack, strict=True)), "", (),
    )  # fmt: skip
    seen = tuple(replace(s, relative_to="") for s in manifest.sensors if s.name in CHIP_SENSORS)
    position = next((s for s in seen if s.name == "position"), None)
    low, high = (position.low, position.high) if position is not None else ((-1000.0,) * 3, (1000.0,) * 3)
    targets = (
        _target(POSITION_TARGET, "m", low, high, safety.max_position_error / period),
        _target(VELOCITY_TARGET, "m/s", (-safety.max_speed,) * 3, (safety.max_speed,) * 3,
                2.0 * safety.max_speed / period),
    )  # fmt: skip
    goals = tuple(SensorSpec(TARGETS[t.name], 3, t.unit, "world", t.low, t.high, "", ()) for t in targets)
    return replace(manifest, sensors=(*seen, command, *goals), commands=targets, states=())


def _target(name: str, unit: str, low: tuple[float, ...], high: tuple[float, ...], rate_limit: float) -> CommandSpec:
    safe = tuple(min(max(0.0, a), b) for a, b in zip(low, high, strict=True))
    return CommandSpec(name, 3, unit, low, high, rate_limit, ("x", "y", "z"), safe)
