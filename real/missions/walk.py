"""The mission of a legged robot: stand up, walk under the policy as commanded, halt, stand, and lie down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.contract.events import Fault
from real.contract.goal import Goal
from real.contract.mounting import body_orientation
from real.contract.offer import JOINT_COMMAND, Signal
from real.contract.robot import Array, LinkStatus, RobotReading
from real.contract.state_machine import WALK, State, Trigger
from real.missions.mission import Advance, Kind, OwnCommand, check_duration
from real.missions.velocity import STOPPING, VELOCITY_COMMAND, Velocity, VelocityLimiter, VelocitySource
from real.recording.report import FlightTrace, PositionError
from real.safety.envelope import order_of

KIND = Kind(
    "velocity",
    goals=(Signal(VELOCITY_COMMAND, 3, "m/s, m/s, rad/s", "body"),),
    demands=("safety.max_tilt", "joints.motors", "joints.stance", "joints.lying"),
)
GAIN_TOLERANCE = 0.01
"""How far the robot's gains may be from the bundle's, as a share."""
STAND_TOLERANCE = 0.4
"""How far, in rad, a joint of a standing robot may be from the stance: the weight bends every joint a little."""
STAND_PATIENCE = 3.0
"""Time in s for the joints to reach the stance after the motion to it is over."""


@dataclass(frozen=True)
class WalkTimes:
    """Times in s of the parts of a walk that are not the policy's."""

    stand: float = 2.5
    """Time in s from the present joint positions to the stance."""
    settle: float = 0.5
    """Time in s in the stance, before the policy takes over or the robot lies down."""
    halt: float = 1.0
    """Time in s under the policy with a velocity command of zero, after the ramp down to it."""
    lie: float = 2.5
    """Time in s from the stance to the lying pose."""

    def __post_init__(self) -> None:
        for name, least in (("stand", 0.5), ("settle", 0.0), ("halt", 0.2), ("lie", 0.5)):
            value = getattr(self, name)
            if not least <= value <= 30.0:
                raise UserError(f"the time to {name} must lie within {least:g} and 30 s, got {value}")


class Walk:
    """Walks by `source` for `duration` s. Raises UserError, in one line, for a bundle that does not walk."""

    kind: ClassVar[Kind] = KIND
    table = WALK
    done = "walked and lay down"
    none = "no walk"
    rested = "and lay down"
    ground = 0.0

    def __init__(
        self, manifest: Manifest, source: VelocitySource, duration: float, times: WalkTimes | None = None
    ) -> None:
        check_duration(duration)
        KIND.check(manifest)
        joints, policy = manifest.joints, f"policy {manifest.identity.name}"
        assert joints is not None and joints.stance is not None and joints.lying is not None
        command = next((s for s in manifest.sensors if s.name == VELOCITY_COMMAND), None)
        if command is None or command.dim != 3:
            raise UserError(f"{policy} can't be walked: it reads no {VELOCITY_COMMAND} [3]")
        if not command.rate_limit:
            raise UserError(
                f"{policy} can't be walked: its {VELOCITY_COMMAND} has no rate_limit, so nothing says how fast it may "
                "change; export it again"
            )
        targets = next(c for c in manifest.commands if c.name == JOINT_COMMAND)
        labels = targets.labels
        order = [joints.names.index(label) for label in labels]
        self._stance, self._lying = np.array(joints.stance)[order], np.array(joints.lying)[order]
        self._limits = np.array(targets.low), np.array(targets.high)
        self._manifest = manifest
        self._labels = labels
        self._position = order_of(manifest, "joint_position", labels)
        self._source = source
        self._duration = duration
        self._times = times or WalkTimes()
        self._limiter = VelocityLimiter(*(np.array(part) for part in (command.low, command.high, command.rate_limit)))
        self._state: State | None = None
        self._since = math.nan
        self._from: Array | None = None
        self._last: Array | None = None
        self._ending = False
        self._lost = False
        self._heading = Heading()
        self._imu = manifest.safety.imu

    def refuses(self, link: LinkStatus) -> Fault | None:
        """Refuses a robot whose motors have other gains than those that the policy was trained with."""
        return gain_fault(self._manifest, link)

    def begin(self, now: float, reading: RobotReading) -> None:
        """Nothing to do: the motion to the stance begins where the joints are at the first command."""

    def asked_to_end(self, now: float, state: State, requested: bool) -> Fault | None:
        """The user may end the run while the robot stands up and under the policy; the time under the policy is
        limited."""
        self._follow_state(now, state)
        standing_up = state == State.STAND and not self._ending
        if requested and (state == State.POLICY or standing_up):
            return Fault("stop_requested")
        walked = now - self._since
        if state == State.POLICY and walked >= self._duration:
            return Fault("duration_over", walked, self._duration)
        return None

    def goal(self, now: float, state: State) -> Velocity:
        """The velocity command: within the bundle's limits, without jumps, and zero unless the robot walks."""
        self._follow_state(now, state)
        if state not in (State.POLICY, State.HALT):
            return Velocity(STOPPING)
        wanted = STOPPING
        if state == State.POLICY:
            wanted = self._source.at(now - self._since, now, self._heading.turned)
        return Velocity(self._limiter(now, wanted))

    def advance(
        self, now: float, state: State, goal: Goal, newest: RobotReading | None, usable: RobotReading | None
    ) -> Sequence[Advance]:
        """From STAND to POLICY or LIE when the joints have arrived, from HALT to STAND when the robot has halted."""
        self._follow_state(now, state)
        if usable is not None:
            self._heading.follow(body_orientation(usable.sensors["orientation"], self._imu))
        elapsed = now - self._since
        if state == State.HALT and elapsed >= self._times.halt and not goal.sensors[VELOCITY_COMMAND].any():
            return [Advance(Trigger.END, "halted")]
        if state == State.STAND and self._last is not None:
            return self._standing(elapsed - self._times.stand, usable)
        if state == State.POLICY:
            return self._source_faults(now)
        return []

    def own_command(self, now: float, state: State, reading: RobotReading) -> OwnCommand | None:
        """Joint targets that move smoothly from where the motion began to the stance or to the lying pose."""
        self._follow_state(now, state)
        if state not in (State.STAND, State.LIE):
            return None
        if self._from is None:
            # A joint may sag beyond the limits of its targets, where no motion can begin.
            measured = np.clip(reading.sensors["joint_position"][self._position], *self._limits)
            self._from = measured if self._last is None else self._last
        aim, time = (self._stance, self._times.stand) if state == State.STAND else (self._lying, self._times.lie)
        share = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (now - self._since) / time))
        return OwnCommand({JOINT_COMMAND: self._from + share * (aim - self._from)})

    def sent(self, now: float, state: State, command: Mapping[str, Array]) -> Advance | None:
        """The robot rests when it has been in the lying pose for a while."""
        self._last = command[JOINT_COMMAND]
        lain = now - self._since >= self._times.lie + self._times.settle
        return Advance(Trigger.DONE, "lies") if state == State.LIE and lain else None

    def trace(self, trace: FlightTrace, now: float, state: State, goal: Goal, reading: RobotReading) -> None:
        """Nothing to record: the robot does not know its position."""

    def after_step(self, trace: FlightTrace) -> PositionError | None:
        """A walk has no setpoint."""
        return None

    def _follow_state(self, now: float, state: State) -> None:
        if state == self._state:
            return
        self._state, self._since, self._from = state, now, None
        if state == State.POLICY:
            self._limiter.reset()
            self._heading.restart()
        self._ending = self._ending or state == State.HALT

    def _standing(self, waited: float, usable: RobotReading | None) -> Sequence[Advance]:
        """The step that is due `waited` s after the motion to the stance was over, by where the joints are."""
        if waited < self._times.settle or usable is None:
            return []
        off = np.abs(usable.sensors["joint_position"][self._position] - self._stance)
        worst = int(np.argmax(off))
        if off[worst] <= STAND_TOLERANCE:
            return [Advance(Trigger.END if self._ending else Trigger.START, "stands")]
        if waited < STAND_PATIENCE:
            return []
        fault = Fault("stand_failed", float(off[worst]), STAND_TOLERANCE, self._labels[worst])
        return [Advance(Trigger.DAMP, fault.cause, fault)]

    def _source_faults(self, now: float) -> Sequence[Advance]:
        age = self._source.lost(now)
        known, self._lost = self._lost, age is not None
        if age is None or known:
            return []
        fault = Fault("cmd_vel_lost", age, detail="the robot halts until another one comes")
        return [Advance(None, fault.cause, fault)]


class Heading:
    """The yaw that an IMU's orientation has turned through, in rad, unwrapped."""

    def __init__(self) -> None:
        self.turned = 0.0
        self._last: float | None = None

    def restart(self) -> None:
        """Count from the last orientation on."""
        self.turned = 0.0

    def follow(self, orientation: Array) -> None:
        """Update with an orientation w, x, y, z."""
        w, x, y, z = (float(v) for v in orientation)
        yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        if self._last is not None:
            self.turned += math.remainder(yaw - self._last, 2.0 * math.pi)
        self._last = yaw


def gain_fault(manifest: Manifest, link: LinkStatus) -> Fault | None:
    """The first joint whose motor has other gains than the policy was trained with, or whose gains are not reported."""
    assert manifest.joints is not None
    joints = manifest.joints
    assert joints.motors is not None
    for name, stiffness, damping in zip(joints.names, joints.motors.stiffness, joints.motors.damping, strict=True):
        if name not in link.gains:
            known = ", ".join(sorted(link.gains)) or "none"
            return Fault(
                "gains_differ", detail=f"the robot reports no gains of joint {name}; it reports those of {known}"
            )
        for what, ours, theirs in (
            ("stiffness", stiffness, link.gains[name][0]),
            ("damping", damping, link.gains[name][1]),
        ):
            if not abs(theirs - ours) <= GAIN_TOLERANCE * ours:
                detail = f"{what} of {name}; set the robot's to {ours:g}, or train with its own"
                return Fault("gains_differ", theirs, ours, detail)
    return None
