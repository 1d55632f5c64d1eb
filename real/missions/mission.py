"""The interface of a mission: the part of a session that depends on a bundle's kind. A mission gives the robot's goal,
the time of the next state, and the commands that replace the policy's. It never sends anything: the loop does, and the
supervisor has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.contract.events import Fault
from real.contract.goal import Goal
from real.contract.offer import Offer, Signal, differences
from real.contract.robot import Array, LinkStatus, Robot, RobotReading
from real.contract.state_machine import State, Table, Trigger
from real.recording.report import FlightTrace, PositionError
from real.safety.envelope import checks_of, demanded_by


@dataclass(frozen=True)
class Kind:
    """A kind of bundle: the sensors that its mission gives the policy, and the parts of the manifest that it
    requires."""

    name: str
    """The manifest's `kind`."""
    goals: tuple[Signal, ...]
    """Sensors of the policy that come from the mission, not from the robot."""
    demands: tuple[str, ...]
    """Parts of the manifest, such as "safety.max_tilt", that must not be null: safety is not switched off by leaving a
    part out."""

    def check(self, manifest: Manifest) -> None:
        """Raise UserError, in one line, for a manifest of another kind, without a part, or that contradicts itself."""
        policy = f"policy {manifest.identity.name}"
        if manifest.kind != self.name:
            raise UserError(f"{policy} is of kind {manifest.kind}, this mission runs kind {self.name}")
        missing = [part for part in self.demands if _part(manifest, part) is None]
        if missing:
            raise UserError(f"{policy} lacks {', '.join(missing)}, which kind {self.name} needs; export it with them")
        try:
            checks_of(manifest)
        except UserError as error:
            raise UserError(f"{policy} can't be deployed: {error}") from None

    def missing(self, manifest: Manifest, offer: Offer) -> list[str]:
        """The needs of the policy and its envelope that neither this mission nor a robot with `offer` gives."""
        sensors = {signal.name: signal for signal in demanded_by(checks_of(manifest))}
        sensors |= {spec.name: Signal.of(spec) for spec in manifest.sensors}
        needed = Offer(tuple(sensors.values()), tuple(Signal.of(spec) for spec in manifest.commands))
        return differences(needed, Offer((*offer.sensors, *self.goals), offer.commands))


@dataclass(frozen=True)
class Advance:
    """A step of the mission: the trigger, if one fires, its cause for the history, and the fault to record."""

    trigger: Trigger | None
    cause: str
    fault: Fault | None = None


@dataclass(frozen=True)
class OwnCommand:
    """A command of the mission's own, name -> [dim]; `quiet` records no rate clamp, which it expects."""

    command: Mapping[str, Array]
    quiet: bool = False


class Mission(Protocol):
    """One task from READY to rest. Times `now` in s of the host's clock; called from the loop's thread alone."""

    kind: ClassVar[Kind]
    """The kind of bundles that it runs."""
    table: Table
    """The transitions of its states."""
    done: str
    """The outcome of a session that ended well, such as "flew and landed"."""
    none: str
    """The outcome of one that never began, such as "no flight"."""
    rested: str
    """The end of the outcome of one that was cut short and came to rest, such as "and landed"."""
    ground: float
    """Height of the ground in m in the frame of the robot's position, for a robot that knows its position."""

    def refuses(self, link: LinkStatus) -> Fault | None:
        """Why this robot must not be armed, or None; asked once it is connected."""

    def begin(self, now: float, reading: RobotReading) -> None:
        """The robot is armed; `reading` is the newest one."""

    def asked_to_end(self, now: float, state: State, requested: bool) -> Fault | None:
        """Why the next step towards rest is due: the user asked for it, or the time is over; None when it is not."""

    def goal(self, now: float, state: State) -> Goal:
        """What the robot should do now."""

    def advance(
        self, now: float, state: State, goal: Goal, newest: RobotReading | None, usable: RobotReading | None
    ) -> Sequence[Advance]:
        """The steps that are due. `newest` is the newest good reading, `usable` the same if it is young enough."""

    def own_command(self, now: float, state: State, reading: RobotReading) -> OwnCommand | None:
        """The command that the mission gives in place of the policy, or None where the policy drives."""

    def sent(self, now: float, state: State, command: Mapping[str, Array]) -> Advance | None:
        """Note a command that left; a step that follows from it, if one does."""

    def trace(self, trace: FlightTrace, now: float, state: State, goal: Goal, reading: RobotReading) -> None:
        """Gather the figures of the report."""

    def after_step(self, trace: FlightTrace) -> PositionError | None:
        """The error after a setpoint's step, for a mission that has one."""


class Options(Protocol):
    """The user's options of a mission: a dataclass with a docstring for each."""

    kind: ClassVar[Kind]

    def mission(self, manifest: Manifest, robot: Robot, duration: float | None) -> Mission:
        """The mission for `robot`, `duration` s under the policy, or as long as the options say when None.

        Raises UserError, in one line, for options that do not suit the bundle.
        """


def check_duration(duration: float) -> None:
    """Raise UserError unless `duration` s under the policy is above 0."""
    if not (math.isfinite(duration) and duration > 0.0):
        raise UserError(f"duration must be above 0 s, got {duration}")


def _part(manifest: Manifest, path: str) -> object:
    value: object = manifest
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    return value
