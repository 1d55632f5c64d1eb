"""The control loop: a tick reads, checks, steps the policy, checks its command and writes, on an absolute schedule."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from deploy.bundle.manifest import Manifest
from real.contract.events import EventLog, Fault
from real.contract.goal import Goal
from real.contract.robot import Array, LinkDown, LinkStatus, Robot, RobotReading
from real.contract.state_machine import ACTIVE, State, StateMachine, Trigger
from real.contract.stop_requests import StopRequests
from real.control.policy_input import PolicyInput
from real.missions.mission import Advance, Mission
from real.recording.messages import TickRecord, state_message
from real.recording.recorder import Recorder
from real.recording.report import FlightTrace
from real.safety.supervisor import Supervisor
from real.timing.schedule import Clock, PhaseAligner, Schedule, Tick

RELEASES = 3
"""Number of stop requests: if one message is lost, the robot does not have to wait for its own time-out."""
RELEASE_INTERVAL = 0.02
"""Time in s between them."""


class Policy(Protocol):
    """A bundle's runtime, which carries its own state."""

    def reset(self) -> None: ...
    def step(self, sensors: Mapping[str, Array]) -> Mapping[str, Any]: ...


class ControlLoop:
    """Runs one mission, from READY to rest or to a latched state, and releases the robot in every case."""

    def __init__(
        self,
        manifest: Manifest,
        policy: Policy,
        robot: Robot,
        supervisor: Supervisor,
        machine: StateMachine,
        log: EventLog,
        schedule: Schedule,
        clock: Clock,
        mission: Mission,
        requests: StopRequests,
        trace: FlightTrace,
        recorder: Recorder | None,
    ) -> None:
        self._policy = policy
        self._robot = robot
        self._supervisor = supervisor
        self._machine = machine
        self._log = log
        self._schedule = schedule
        self._clock = clock
        self._mission = mission
        self._requests = requests
        self._trace = trace
        self._recorder = recorder
        self._input = PolicyInput(manifest.sensors)
        self._aligner = PhaseAligner()
        self._started = math.nan
        self._policy_runs = True
        self._recorder_reported = False

    def run(self) -> float:
        """Run from READY until the mission has ended; return how long it took, in s.

        An exception of the loop, the policy or the driver ends in DAMP and is recorded with its place. The robot is
        released in every case, also when the interpreter is being shut down.
        """
        try:
            self._begin()
            while self._machine.state in ACTIVE:
                self._tick(self._schedule.wait())
        except Exception as error:
            self.fire(Trigger.DAMP, Fault("loop_exception", detail=located(error)))
        except BaseException:
            self.fire(Trigger.DAMP, Fault("loop_exception", detail="the interpreter is shutting down"))
            raise
        finally:
            ended = self._clock.now()
            self._release()
        return 0.0 if math.isnan(self._started) else ended - self._started

    def fire(self, trigger: Trigger, fault: Fault) -> None:
        """Record a fault, and change the state by its trigger."""
        now = self._clock.now()
        self._log.record(now, self._machine.state, fault, trigger)
        self._change(trigger, now, fault.cause)

    def _begin(self) -> None:
        self._policy.reset()
        now = self._clock.now()
        self._supervisor.begin(now, self._mission.ground, self._robot.link())
        newest = self._supervisor.gate.newest
        assert newest is not None  # begin() has just checked it.
        self._mission.begin(now, newest)
        self._started = now
        self._change(Trigger.START, now, "armed")

    def _tick(self, tick: Tick) -> None:
        now = tick.began
        link, reading = self._robot.link(), self._robot.read()
        self._record_host_faults(tick)
        self._handle_stop_requests(now)
        goal = self._mission.goal(now, self._machine.state)
        inspection = self._supervisor.inspect(now, self._machine.state, reading, link, goal)
        if inspection.trigger is not None:
            self._change(inspection.trigger, now, inspection.cause)
        usable = inspection.usable
        self._align(now)
        for step in self._mission.advance(now, self._machine.state, goal, self._supervisor.gate.newest, usable):
            self._apply(step, now)
        sent, wanted, age = None, None, math.inf
        if usable is not None and self._machine.state in ACTIVE:
            self._mission.trace(self._trace, now, self._machine.state, goal, usable)
            sent, wanted, age = self._act(usable, goal)
        self._record(tick, link, goal, usable, sent, wanted, age)

    def _act(self, reading: RobotReading, goal: Goal) -> tuple[Mapping[str, Array] | None, Mapping[str, Any], float]:
        """Step the policy, or take the mission's own command, and send what the supervisor approves; return the command
        sent, the command before it, and the reading's age in s."""
        state = self._machine.state
        own = self._mission.own_command(self._clock.now(), state, reading)
        if own is not None:
            wanted, self._policy_runs = own.command, False
        else:
            if not self._policy_runs:
                # The policy's state begins when it takes over.
                self._policy.reset()
                self._policy_runs = True
            wanted = self._policy.step(self._input(reading, goal))
        now = self._clock.now()
        approval = self._supervisor.approve(now, state, wanted, quiet=own is not None and own.quiet)
        if approval.trigger is not None:
            self._change(approval.trigger, now, approval.cause)
        if approval.command is None:
            return None, wanted, math.inf
        try:
            self._robot.write(approval.command, reading)
        except LinkDown as error:
            self._supervisor.refused(now, state, str(error))
            return None, wanted, math.inf
        age = self._supervisor.gate.age(self._clock.now())
        self._supervisor.sent(now, approval.command)
        self._trace.command(approval.command, age)
        step = self._mission.sent(now, state, approval.command)
        if step is not None:
            self._apply(step, now)
        return approval.command, wanted, age

    def _handle_stop_requests(self, now: float) -> None:
        if self._requests.count > 1:
            self.fire(Trigger.ESTOP, Fault("emergency_requested"))
            return
        fault = self._mission.asked_to_end(now, self._machine.state, self._requests.count > 0)
        if fault is not None:
            self.fire(Trigger.END, fault)

    def _apply(self, step: Advance, now: float) -> None:
        if step.fault is not None:
            self._log.record(now, self._machine.state, step.fault, step.trigger)
        if step.trigger is not None:
            self._change(step.trigger, now, step.cause)

    def _align(self, now: float) -> None:
        gate = self._supervisor.gate
        if gate.newest is not None:
            age = now - gate.newest.received
            shift = self._aligner.correction(age, gate.reading_period, self._schedule.period)
            self._schedule.shift(shift)

    def _record_host_faults(self, tick: Tick) -> None:
        if tick.overrun > 0.0:
            period = self._schedule.period
            fault = Fault("loop_overrun", period + tick.overrun, period, "time from when the tick was due")
            self._log.record(tick.began, self._machine.state, fault)
        if self._recorder is not None and self._recorder.failure and not self._recorder_reported:
            self._recorder_reported = True
            self._log.record(tick.began, self._machine.state, Fault("recorder_failed", detail=self._recorder.failure))

    def _record(
        self,
        tick: Tick,
        link: LinkStatus,
        goal: Goal,
        reading: RobotReading | None,
        sent: Mapping[str, Array] | None,
        wanted: Mapping[str, Any] | None,
        age: float,
    ) -> None:
        if self._recorder is None:
            return
        work = self._clock.now() - tick.began
        gate_age = self._supervisor.gate.age(tick.began)
        self._recorder.put(
            TickRecord(
                tick.began,
                tick.began - tick.due,
                work,
                tick.skipped,
                link,
                goal,
                reading,
                gate_age,
                age,
                sent or {},
                wanted or {},
            )
        )

    def _change(self, trigger: Trigger, now: float, cause: str) -> None:
        if self._machine.fire(trigger, now, cause) and self._recorder is not None:
            self._recorder.put(state_message(now, self._machine.state, cause))

    def _release(self) -> None:
        """Release the robot: its actuators off after an emergency stop, otherwise its own stop or fail-safe."""
        for _ in range(RELEASES):
            if self._requests.count > 1 and self._machine.state != State.ESTOP:
                self.fire(Trigger.ESTOP, Fault("emergency_requested"))
            # A driver must not raise; if it does, the next request must still be sent.
            with contextlib.suppress(Exception):
                if self._machine.state == State.ESTOP:
                    self._robot.emergency_stop()
                else:
                    self._robot.stop()
            self._clock.sleep(RELEASE_INTERVAL)


def located(error: BaseException) -> str:
    """An exception's type, text and place, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
