"""The safety supervisor: no command leaves without its approval, and every fault that ends a run passes through it.

Pure and deterministic: it reads no clock and sends nothing. The loop passes in the time, the reading, the link's
status, the goal and the policy's command; the supervisor answers with what may be sent and which trigger fires.
No switch turns a check off: limits come from the manifest, whose kind demands the parts that it needs, and from
settings that are themselves bounded.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from policies.specs import CommandSpec
from real.contract.events import EventLog, Fault
from real.contract.goal import Goal
from real.contract.robot import NOT_OBEYING, Array, LinkStatus, RobotReading
from real.contract.state_machine import ACTIVE, State, Trigger, strongest
from real.safety.envelope import checks_of, demanded_by
from real.safety.readings import ReadingGate, as_numbers


@dataclass(frozen=True)
class SupervisorSettings:
    """Time-outs in s. Each has an upper bound, so that it can't be disabled by a large value."""

    heartbeat_timeout: float = 0.5
    """Largest time in s since the robot's last status message; at most 2 s."""
    silence_timeout: float = 0.15
    """Largest time in s without a command sent in flight; at most 1 s, and raised to 2.5 ticks of a slow policy."""
    ownership_grace: float = 0.5
    """Time in s from the first command until the robot must report that it obeys us; at most 2 s."""

    def __post_init__(self) -> None:
        for name, highest in (("heartbeat_timeout", 2.0), ("silence_timeout", 1.0), ("ownership_grace", 2.0)):
            value = getattr(self, name)
            if not 0.0 < value <= highest:
                raise UserError(f"{name} must lie above 0 and up to {highest} s, got {value}")


@dataclass(frozen=True)
class Inspection:
    """The newest good reading if it is young enough for the policy, and the strongest trigger that fires."""

    usable: RobotReading | None
    trigger: Trigger | None
    cause: str


@dataclass(frozen=True)
class Approval:
    """The command that may be sent now, or None, and the trigger that fires, or None."""

    command: Mapping[str, Array] | None
    trigger: Trigger | None
    cause: str


class Supervisor:
    """Supervises one run.

    `writer` is the driver's identity, which the robot must report as its owner; `period` s is the time between two
    ticks, by default the policy's own; `goals` names the policy's sensors that come from the mission.
    """

    def __init__(
        self,
        manifest: Manifest,
        writer: str,
        log: EventLog,
        settings: SupervisorSettings | None = None,
        period: float | None = None,
        goals: Collection[str] = (),
    ) -> None:
        settings = settings or SupervisorSettings()
        self._checks = checks_of(manifest)
        own = [spec for spec in manifest.sensors if spec.name not in goals]
        self.gate = ReadingGate(own, demanded_by(self._checks))
        self._manifest = manifest
        self._envelope = manifest.safety
        self._writer = writer
        self._log = log
        self._settings = settings
        self._period = manifest.timing.period if period is None else period
        self._silence_timeout = max(settings.silence_timeout, 2.5 * self._period)
        self._first_sent: float | None = None
        self._last_sent = math.nan
        self._previous: dict[str, Array] = {}
        self._silence_cause: Fault | None = None
        self._writers = 0
        self._rejected = 0
        self._boot = ""
        self._dropped: dict[str, int] = {}

    def begin(self, now: float, ground: float, link: LinkStatus) -> None:
        """Start a run from the newest reading's position; `ground` m is the ground's height in the world."""
        if self.gate.newest is None:
            raise RuntimeError("a run begins with a good reading")
        self._previous = {}
        for check in self._checks:
            self._previous |= check.begin(self.gate.newest, ground)
        self._last_sent = now
        self._first_sent = None
        self._boot = link.boot
        self._writers, self._rejected, self._dropped = link.other_writers, link.rejected, dict(link.faults)

    def arming_faults(self, now: float, reading: RobotReading | None, link: LinkStatus) -> list[Fault]:
        """Faults that keep a run from starting now; they are not logged, because a robot may need a moment to be
        ready."""
        faults = [fault for fault in (self.gate.admit(reading),) if fault is not None]
        age = self.gate.age(now)
        if age > self._envelope.max_input_age:
            faults.append(self._state_age(age))
        if self.gate.newest is not None:
            faults += self._state_faults(self.gate.newest)
        faults += self._link_faults(now, link)
        return faults

    def inspect(
        self, now: float, state: State, reading: RobotReading | None, link: LinkStatus, goal: Goal
    ) -> Inspection:
        """Check readings, link and envelope before the policy runs; a target is in the world frame."""
        rejected = self.gate.admit(reading)
        if rejected is not None:
            self._log.record(now, state, rejected)
        if state not in ACTIVE:
            return Inspection(None, None, "")
        faults = self._link_faults(now, link) + self._counter_faults(link)
        if link.boot != self._boot:
            faults.append(Fault("robot_restarted", detail=f"it was {self._boot or 'unknown'} and is {link.boot}"))
        newest = self.gate.newest
        if newest is not None:
            faults += self._state_faults(newest)
            faults += [fault for check in self._checks for fault in check.position_faults(newest, state, goal)]
        faults += self._silence_faults(now)
        usable = newest
        age = self.gate.age(now)
        if age > self._envelope.max_input_age:
            usable = None
            self._silent(now, state, self._state_age(age))
        trigger, cause = self._fire(now, state, faults)
        return Inspection(usable, trigger, cause)

    def approve(self, now: float, state: State, command: Mapping[str, Array], quiet: bool = False) -> Approval:
        """Check the command computed from the newest reading; what is returned is finite and within its limits.

        `quiet` records no rate clamp: the ramp to the safe value is limited on purpose.
        """
        if state not in ACTIVE:
            return Approval(None, None, "")
        limited: dict[str, Array] = {}
        for entry in self._manifest.commands:
            value = _numbers(entry, command)
            if isinstance(value, Fault):
                trigger, cause = self._fire(now, state, [value])
                return Approval(None, trigger, cause)
            limited[entry.name] = self._limit(now, state, entry, value, quiet)
        age = self.gate.age(now)
        if age > self._envelope.max_command_age:
            self._silent(now, state, Fault("command_age", age, self._envelope.max_command_age))
            return Approval(None, None, "")
        return Approval(MappingProxyType(limited), None, "")

    def sent(self, now: float, command: Mapping[str, Array]) -> None:
        """Note that an approved command left the host."""
        if self._first_sent is None:
            self._first_sent = now
        self._last_sent = now
        self._previous = dict(command)
        self._silence_cause = None

    def refused(self, now: float, state: State, reason: str) -> None:
        """Note that the driver dropped an approved command."""
        self._silent(now, state, Fault("link_refused", detail=reason))

    def _state_age(self, age: float) -> Fault:
        return Fault("state_age", age if math.isfinite(age) else None, self._envelope.max_input_age)

    def _state_faults(self, reading: RobotReading) -> list[Fault]:
        return [fault for check in self._checks for fault in check.state_faults(reading)]

    def _fire(self, now: float, state: State, faults: list[Fault]) -> tuple[Trigger | None, str]:
        fired = strongest([f.trigger for f in faults if f.trigger is not None])
        cause = ""
        for fault in faults:
            decides = fired is not None and fault.trigger == fired
            cause = cause or (fault.cause if decides else "")
            self._log.record(now, state, fault, fired if decides else None)
        return fired, cause

    def _silent(self, now: float, state: State, fault: Fault) -> None:
        """A tick without a command: recorded now, and the cause of the fault if the silence lasts."""
        self._silence_cause = fault
        self._log.record(now, state, fault)

    def _silence_faults(self, now: float) -> list[Fault]:
        silence = now - self._last_sent
        if silence <= self._silence_timeout:
            return []
        return [self._silence_cause or Fault("loop_stall", silence, self._silence_timeout)]

    def _link_faults(self, now: float, link: LinkStatus) -> list[Fault]:
        faults = []
        if not link.connected:
            faults.append(Fault("link_lost"))
        if not link.heartbeat_age <= self._settings.heartbeat_timeout:
            age = link.heartbeat_age if math.isfinite(link.heartbeat_age) else None
            faults.append(Fault("heartbeat_lost", age, self._settings.heartbeat_timeout))
        if link.robot_state in NOT_OBEYING:
            why = f", for {link.cause}" if link.cause else ""
            faults.append(Fault("robot_failsafe", detail=f"it reports {link.robot_state}{why}"))
        claimed = self._first_sent is not None and now - self._first_sent > self._settings.ownership_grace
        if link.owner != self._writer and (link.owner or claimed):
            faults.append(Fault("not_owner", detail=f"it obeys {link.owner or 'nobody'}"))
        return faults

    def _counter_faults(self, link: LinkStatus) -> list[Fault]:
        faults = []
        if link.other_writers > self._writers:
            faults.append(Fault("second_writer", link.other_writers - self._writers, 0, "foreign commands"))
        if link.rejected > self._rejected:
            faults.append(Fault("command_rejected", link.rejected - self._rejected, 0))
        # A restarted robot counts from zero again, so the baseline follows the counters both ways.
        self._writers, self._rejected = link.other_writers, link.rejected
        for cause, count in link.faults.items():
            if count > self._dropped.get(cause, 0):
                faults.append(Fault("reading_dropped", detail=cause))
        self._dropped = dict(link.faults)
        return faults

    def _limit(self, now: float, state: State, entry: CommandSpec, value: Array, quiet: bool) -> Array:
        low, high = np.array(entry.low), np.array(entry.high)
        clamped = np.clip(value, low, high)
        excess = np.abs(value - clamped)
        worst = int(np.argmax(excess))
        # A single-precision policy may exceed its own bound by rounding: that is not recorded.
        if excess[worst] > 1e-5 * (high[worst] - low[worst]):
            limit = high[worst] if value[worst] > high[worst] else low[worst]
            label = f"{entry.name} {entry.labels[worst]}"
            self._log.record(now, state, Fault("command_clamped", float(value[worst]), float(limit), label))
        limited = self._limit_rate(now, state, entry, clamped, quiet) if entry.name in self._previous else clamped
        reading = self.gate.newest
        if reading is None:
            return limited
        for check in self._checks:
            limited, fault = check.limit(entry, limited, reading)
            if fault is not None:
                self._log.record(now, state, fault)
        return limited

    def _limit_rate(self, now: float, state: State, entry: CommandSpec, clamped: Array, quiet: bool) -> Array:
        low, high = np.array(entry.low), np.array(entry.high)
        # After a gap, allow at most two ticks of change.
        step = entry.rate_limit * min(now - self._last_sent, 2.0 * self._period)
        previous = self._previous[entry.name]
        limited = np.clip(np.clip(clamped, previous - step, previous + step), low, high)
        change = np.abs(clamped - limited)
        worst = int(np.argmax(change))
        if not quiet and change[worst] > 1e-5 * (high[worst] - low[worst]):
            wanted = float(abs(clamped[worst] - previous[worst]))
            label = f"{entry.name} {entry.labels[worst]}"
            self._log.record(now, state, Fault("command_rate_clamped", wanted, step, label))
        return limited


def _numbers(entry: CommandSpec, command: Mapping[str, Array]) -> Array | Fault:
    if entry.name not in command:
        return Fault("command_malformed", detail=f"{entry.name} is missing")
    value = as_numbers(command[entry.name])
    if value is None or value.shape != (entry.dim,):
        return Fault("command_malformed", None if value is None else value.size, entry.dim, entry.name)
    if not np.isfinite(value).all():
        return Fault("command_not_finite", detail=entry.name)
    return value
