"""Flying a chip that runs the policy itself: the same loop, supervisor and report, with the setpoint as the command.

The session's manifest is derived from the bundle's: it commands where to be in place of rotor speeds, within the
bundle's geofence and speed. Its "policy" passes the target on, so that everything between a setpoint and the link is
checked as a policy's command is: finite, within limits, fresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from policies.specs import CommandSpec, SensorSpec
from real.contract.goal import Target
from real.contract.offer import MOTORS, POSITION_TARGET, VELOCITY_TARGET, Signal
from real.contract.robot import Array, RobotReading
from real.contract.state_machine import State, Trigger
from real.missions.flight import KIND, Flight
from real.missions.mission import Advance, OwnCommand
from real.missions.poses import PoseFollower
from real.missions.setpoint import Setpoint

TARGETS = {POSITION_TARGET: "target_position", VELOCITY_TARGET: "target_velocity"}
"""Command of a guided flight -> the sensor that the goal fills."""
_ROUNDING = 1e-6


class PassOn:
    """Replaces the policy: the target is the command."""

    def reset(self) -> None:
        """It has no state."""

    def warm(self, steps: int = 0) -> None:
        """It needs no warming up."""

    def with_substeps(self, substeps: int) -> PassOn:
        """A target is the same at any rate."""
        return self

    def step(self, sensors: Mapping[str, Array]) -> Mapping[str, Array]:
        """The target's position [3] m and velocity [3] m/s."""
        return {command.name: sensors[name] for command, name in TARGETS.items()}


@dataclass(frozen=True)
class GuidedBundle:
    """A bundle that `real.control.session` runs for a chip: `manifest` of `guided_manifest`, and the target as the
    command."""

    manifest: Manifest
    policy: PassOn = field(default_factory=PassOn)


class GuidedFlight(Flight):
    """Follows the setpoint or, where there is a `follower`, poses from elsewhere; on the ground it sends no further
    target, because the chip's own fail-safe ends the flight there."""

    def __init__(
        self,
        manifest: Manifest,
        setpoint: Setpoint,
        duration: float,
        ground: float = 0.0,
        follower: PoseFollower | None = None,
    ) -> None:
        """`manifest` of `guided_manifest`; the rest as in `Flight`."""
        super().__init__(manifest, setpoint, duration, ground)
        self._follower = follower

    def begin(self, now: float, reading: RobotReading) -> None:
        """The setpoint's origin is where the vehicle is."""
        super().begin(now, reading)
        if self._follower is not None:
            self._follower.begin(now, reading.sensors["position"], self.ground)

    def goal(self, now: float, state: State) -> Target:
        """The target in the world frame."""
        own = super().goal(now, state)
        # A landing begins at the last target, so until then the follower gives it.
        return own if self._follower is None or self.landing else self._follower.target(now, own)

    def findings(self, now: float, state: State) -> Sequence[Advance]:
        """Faults of the poses."""
        if self._follower is None or state != State.POLICY:
            return []
        return [Advance(None, fault.cause, fault) for fault in self._follower.faults(now)]

    def touched_down(self) -> Sequence[Advance]:
        """The flight is over; the stop that follows lets the chip turn its motors off."""
        return [Advance(Trigger.DONE, "landed")]

    def own_command(self, now: float, state: State, reading: RobotReading) -> OwnCommand | None:
        """None: a setpoint has no safe value to go to."""
        return None


def guided_manifest(manifest: Manifest) -> Manifest:
    """The manifest that the host of a chip supervises, from that of the bundle on the chip: the bundle's sensors and
    its command within their limits, and targets as commands.

    A target may jump by the largest position error that the policy allows, and its velocity as far as its limits are
    apart. Raises UserError for a policy that no chip of this link flies.
    """
    KIND.check(manifest)
    name, safety, period = manifest.identity.name, manifest.safety, manifest.timing.period
    if len(manifest.commands) != 1 or manifest.commands[0].dim != 4:
        raise UserError(f"policy {name} can't be flown by a chip: the link carries exactly four motor commands")
    assert safety.max_position_error is not None and safety.max_speed is not None
    own = manifest.commands[0]
    slack = [_ROUNDING * (high - low) for low, high in zip(own.low, own.high, strict=True)]
    command = SensorSpec(
        own.name, own.dim, own.unit, MOTORS,
        tuple(v - s for v, s in zip(own.low, slack, strict=True)),
        tuple(v + s for v, s in zip(own.high, slack, strict=True)),
    )  # fmt: skip
    goals = {signal.name for signal in KIND.goals}
    seen = tuple(replace(s, relative_to="") for s in manifest.sensors if s.name not in goals)
    position = next((s for s in seen if s.name == "position"), None)
    low, high = (position.low, position.high) if position is not None else ((-1000.0,) * 3, (1000.0,) * 3)
    speed = (safety.max_speed,) * 3
    targets = (
        _target(POSITION_TARGET, low, high, safety.max_position_error / period),
        _target(VELOCITY_TARGET, tuple(-v for v in speed), speed, 2.0 * safety.max_speed / period),
    )
    read = tuple(
        SensorSpec(sensor, 3, target.unit, target.frame, target.low, target.high)
        for target, sensor in zip(targets, TARGETS.values(), strict=True)
    )
    return replace(manifest, sensors=(*seen, command, *read), commands=targets, states=())


def _target(signal: Signal, low: tuple[float, ...], high: tuple[float, ...], rate_limit: float) -> CommandSpec:
    safe = tuple(min(max(0.0, a), b) for a, b in zip(low, high, strict=True))
    return CommandSpec(signal.name, 3, signal.unit, low, high, rate_limit, signal.labels, safe, signal.frame)
