"""One session from connecting to the report: connect, arm, run the mission, release, and report."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from deploy.bundle.manifest import Manifest
from deploy.bundle.rates import substeps_at
from policies.errors import UserError
from real.contract.events import Event, EventLog, Fault
from real.contract.reactions import BEFORE_FLIGHT, REQUESTS
from real.contract.robot import Robot
from real.contract.state_machine import ACTIVE, State, StateMachine, Trigger
from real.contract.stop_requests import StopRequests
from real.control.loop import ControlLoop, Policy, located
from real.control.policy_input import PolicyInput
from real.missions.mission import Mission
from real.recording.messages import log_message, state_message
from real.recording.recorder import Recorder
from real.recording.report import FlightReport, FlightTrace, RecorderReport, StateReport
from real.safety.supervisor import Supervisor, SupervisorSettings
from real.timing.realtime import uncollected, undisturbed
from real.timing.schedule import Clock, MonotonicClock, Schedule

FASTEST = 1000.0
"""The highest control rate in Hz that a loop in Python keeps on a host with an ordinary kernel."""
READY_FOR = 0.3
"""How long, in s, every check must hold without a break before the start: also how long the clocks' offset is
learned."""


class WarmPolicy(Policy, Protocol):
    """A policy that can be warmed up before the flight, and called several times a control period."""

    def warm(self, steps: int = ..., /) -> None: ...
    def with_substeps(self, substeps: int, /) -> WarmPolicy: ...


class Bundle(Protocol):
    """What a session needs of a loaded bundle (`deploy.bundle.reader.Bundle`)."""

    @property
    def manifest(self) -> Manifest: ...
    @property
    def policy(self) -> WarmPolicy: ...


@dataclass(frozen=True)
class SessionSettings:
    """Settings of any session. Times in s."""

    record: Path | None = None
    """The recording's file, in MCAP; None records nothing."""
    rate: float | None = None
    """Ticks a second, in Hz: a whole multiple of the policy's own rate, whose states still count its own periods; None:
    the policy's own rate."""
    connect_timeout: float = 10.0
    """Longest wait for the robot's first reading and status."""
    arm_timeout: float = 10.0
    """Longest wait until every check holds."""
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    """The supervisor's time-outs; its limits come with the policy."""

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "arm_timeout"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise UserError(f"{name} must be above 0 s, got {value}")


def run_session(
    bundle: Bundle,
    robot: Robot,
    mission: Mission,
    settings: SessionSettings,
    clock: Clock | None = None,
    requests: StopRequests | None = None,
) -> FlightReport:
    """Run `mission` with `bundle` on `robot`; return the report, also when robot, link or policy fail.

    SIGINT and SIGTERM bring the robot to rest (outside the main thread `requests.ask()` does), a second one stops its
    actuators at once. Raises UserError, before the robot is touched, when bundle, mission, robot and settings do not
    suit each other or the recording can't be begun.
    """
    clock = clock or MonotonicClock()
    _check_robot(bundle.manifest, mission, robot)
    substeps = _substeps(bundle.manifest, settings)
    policy = bundle.policy.with_substeps(substeps)
    # Before the robot is touched: the first steps of a policy allocate memory and are slow.
    policy.warm()
    recorder = _open_recorder(settings.record)
    period = bundle.manifest.timing.period / substeps
    requests = requests or StopRequests(clock)
    session = _Session(bundle.manifest, policy, robot, mission, settings, clock, requests, recorder, period)
    recording: RecorderReport | None = None
    # A collection takes no simulated time.
    undelayed = uncollected() if isinstance(clock, MonotonicClock) else contextlib.nullcontext()
    with undelayed, session.requests:
        try:
            session.run()
        finally:
            with contextlib.suppress(Exception):
                robot.close()
            if recorder is not None:
                recording = recorder.close()
                session.note_recording(recording)
    return session.report(recording)


class _Session:
    """The parts of one session, run in order."""

    def __init__(
        self,
        manifest: Manifest,
        policy: Policy,
        robot: Robot,
        mission: Mission,
        settings: SessionSettings,
        clock: Clock,
        requests: StopRequests,
        recorder: Recorder | None,
        period: float,
    ) -> None:
        self.requests = requests
        self._manifest = manifest
        self._policy = policy
        self._robot = robot
        self._mission = mission
        self._settings = settings
        self._clock = clock
        self._recorder = recorder
        self._begun, self._begun_unix = clock.now(), time.time()
        self._duration = 0.0
        self._trace = FlightTrace()
        self._machine = StateMachine(mission.table)
        self._log = EventLog(self._write_event)
        self._schedule = Schedule(period, clock)

    def run(self) -> None:
        """Connect, arm and run the mission; the log then holds what failed."""
        self._record_state("start")
        try:
            loop = self._make_ready()
        except Exception as error:
            # Nothing was sent yet, and a driver that raises an unexpected error is not used any further.
            self._log.record(self._clock.now(), State.IDLE, Fault("arming_refused", detail=located(error)), Trigger.END)
            return
        if loop is not None:
            # Time that is only simulated needs no priority over the rest of the machine.
            with undisturbed(realtime=isinstance(self._clock, MonotonicClock)):
                self._duration = loop.run()

    def _make_ready(self) -> ControlLoop | None:
        """Connect and arm; None when the run can't begin; the log holds the reason."""
        try:
            self._robot.connect(self._settings.connect_timeout)
        except OSError as error:
            self._log.record(self._clock.now(), State.IDLE, Fault("connect_failed", detail=str(error)), Trigger.END)
            return None
        refusal = self._mission.refuses(self._robot.link())
        if refusal is not None:
            self._log.record(self._clock.now(), State.IDLE, refusal, Trigger.END)
            return None
        settings, period = self._settings.supervisor, self._schedule.period
        goals = [signal.name for signal in self._mission.kind.goals]
        supervisor = Supervisor(self._manifest, self._robot.writer, self._log, settings, period, goals)
        if not self._arm(supervisor):
            return None
        return ControlLoop(
            self._manifest, self._policy, self._robot, supervisor, self._machine, self._log,
            self._schedule, self._clock, self._mission, self.requests, self._trace, self._recorder,
        )  # fmt: skip

    def note_recording(self, recording: RecorderReport) -> None:
        """Record that the recording failed after the last tick; a failure before that is in the log already."""
        if recording.failure and not any(e.cause == "recorder_failed" for e in self._log.events):
            fault = Fault("recorder_failed", detail=recording.failure)
            self._log.record(self._clock.now(), self._machine.state, fault)

    def report(self, recording: RecorderReport | None) -> FlightReport:
        """The report of the session."""
        identity = self._manifest.identity
        success, outcome = self._outcome()
        return FlightReport(
            success=success,
            exit_code=0 if success else 1,
            outcome=outcome,
            bundle=identity.name,
            task=identity.task,
            policy_sha256=identity.policy_sha256,
            robot=self._robot.name,
            begun=self._begun_unix,
            duration=self._duration,
            final_state=str(self._machine.state),
            states=tuple(
                StateReport(t.time - self._begun, str(t.source), str(t.target), t.cause) for t in self._machine.history
            ),
            events=tuple(replace(e, first=e.first - self._begun, last=e.last - self._begun) for e in self._log.events),
            schedule=self._schedule.statistics(),
            age=self._trace.age(),
            position_error=self._trace.position_error(),
            after_step=self._mission.after_step(self._trace),
            commands_sent=self._trace.commands_sent,
            commands=self._trace.commands(),
            recording=recording,
        )

    def _arm(self, supervisor: Supervisor) -> bool:
        """Wait until every check has held for a while; record the failed ones when the time is over."""
        deadline = self._clock.now() + self._settings.arm_timeout
        holds_since, asked = math.inf, -math.inf
        while not self.requests.count:
            now = self._clock.now()
            if now - asked >= 0.5:
                asked = now
                self._robot.arm()
            faults = supervisor.arming_faults(now, self._robot.read(), self._robot.link())
            holds_since = math.inf if faults else min(holds_since, now)
            if now - holds_since >= READY_FOR:
                self._machine.fire(Trigger.ARM, now, "checks hold")
                self._record_state("checks hold")
                return True
            if now > deadline:
                why = "; ".join(str(f) for f in faults) or "the checks held for too short a time"
                self._log.record(now, State.IDLE, Fault("arming_refused", detail=why), Trigger.END)
                return False
            self._clock.sleep(0.01)
        self._log.record(self._clock.now(), State.IDLE, Fault("stop_requested"), Trigger.END)
        return False

    def _outcome(self) -> tuple[bool, str]:
        if not any(t.target in ACTIVE for t in self._machine.history):
            reason = next((e for e in self._log.events if e.cause in BEFORE_FLIGHT), None)
            if reason is None:
                return False, f"{self._mission.none}: stopped before the start"
            found = str(Fault(reason.cause, reason.value, reason.limit, reason.detail))
            return False, f"{self._mission.none}: {found if reason.value is not None else reason.detail}"
        ended_by = [e for e in self._log.events if e.trigger is not None and e.cause not in REQUESTS]
        if not ended_by and self._machine.state == State.IDLE:
            return True, self._mission.done
        causes = ", ".join(e.cause for e in ended_by)
        rested = f" {self._mission.rested}" if self._machine.state == State.IDLE else f" in {self._machine.state}"
        return False, f"ended by {causes}{rested}"

    def _write_event(self, time: float, fault: Fault, event: Event) -> None:
        """Write a finding into the recording, as an error if it ends the flight."""
        if self._recorder is not None:
            level = 2 if fault.cause in REQUESTS else 4 if event.trigger else 3
            repeats = f" ({event.count} times)" if event.count > 1 else ""
            self._recorder.put(log_message(time, level, f"{event.state} {fault}{repeats}"))

    def _record_state(self, cause: str) -> None:
        if self._recorder is not None:
            self._recorder.put(state_message(self._clock.now(), self._machine.state, cause))


def _substeps(manifest: Manifest, settings: SessionSettings) -> int:
    """The number of ticks in one of the policy's control periods."""
    if settings.rate is None:
        return 1
    substeps = substeps_at(settings.rate, manifest.timing.period)
    if substeps > 1 and settings.rate > FASTEST:
        raise UserError(
            f"a rate of {settings.rate:g} Hz is above the highest that this loop keeps, {FASTEST:g} Hz; choose less"
        )
    return substeps


def _check_robot(manifest: Manifest, mission: Mission, robot: Robot) -> None:
    """Raise UserError, in one line, for a bundle of another kind, or one that needs what this robot does not offer."""
    mission.kind.check(manifest)
    PolicyInput(manifest.sensors)
    missing = mission.kind.missing(manifest, robot.offer)
    if missing:
        raise UserError(f"policy {manifest.identity.name} can't run on robot {robot.name}: {'; '.join(missing)}")


def _open_recorder(path: Path | None) -> Recorder | None:
    if path is None:
        return None
    try:
        return Recorder(path)
    except OSError as error:
        raise UserError(
            f"can't record to {path}: {error.strerror or error}; name a file in a writable folder"
        ) from error
