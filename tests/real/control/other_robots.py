"""A mission, a policy and a driver for robots that neither fly nor walk, on a fake clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from deploy.bundle.manifest import Manifest
from real.contract.events import Fault
from real.contract.goal import Goal
from real.contract.offer import Offer
from real.contract.robot import Array, LinkStatus, RobotReading
from real.contract.state_machine import State, Trigger, transitions
from real.missions.mission import Advance, Kind, OwnCommand
from real.recording.report import FlightTrace, PositionError
from tests.real.fake_robot import US, FakeClock

READING_PERIOD = 0.005


@dataclass(frozen=True)
class NamedGoal:
    """One goal under one name."""

    sensors: Mapping[str, Array]


class Errand:
    """Has one goal for `duration` s, then commands what `rest` says until it is reached."""

    kind: ClassVar[Kind]
    table = transitions(
        {
            State.IDLE: {Trigger.ARM: State.READY},
            State.READY: {Trigger.START: State.POLICY, Trigger.END: State.IDLE},
            State.POLICY: {Trigger.END: State.HALT},
            State.HALT: {Trigger.DONE: State.IDLE},
        }
    )
    done, none, rested = "done and at rest", "not begun", "and at rest"
    ground = 0.0

    def __init__(self, goal: tuple[float, float], rest: Mapping[str, Array], duration: float = 1.0) -> None:
        self._goal, self._rest, self._duration = NamedGoal({self.kind.goals[0].name: np.array(goal)}), rest, duration
        self._began = 0.0

    def refuses(self, link: LinkStatus) -> Fault | None:
        return None

    def begin(self, now: float, reading: RobotReading) -> None:
        self._began = now

    def asked_to_end(self, now: float, state: State, requested: bool) -> Fault | None:
        over = state == State.POLICY and now - self._began >= self._duration
        return Fault("duration_over", now - self._began, self._duration) if over else None

    def goal(self, now: float, state: State) -> Goal:
        return self._goal

    def advance(
        self, now: float, state: State, goal: Goal, newest: RobotReading | None, usable: RobotReading | None
    ) -> Sequence[Advance]:
        return []

    def own_command(self, now: float, state: State, reading: RobotReading) -> OwnCommand | None:
        return OwnCommand(self._rest, quiet=True) if state == State.HALT else None

    def sent(self, now: float, state: State, command: Mapping[str, Array]) -> Advance | None:
        arrived = all(np.array_equal(command[name], value) for name, value in self._rest.items())
        return Advance(Trigger.DONE, "at rest") if state == State.HALT and arrived else None

    def trace(self, trace: FlightTrace, now: float, state: State, goal: Goal, reading: RobotReading) -> None: ...

    def after_step(self, trace: FlightTrace) -> PositionError | None:
        return None


class FollowGoal:
    """A bundle whose policy commands its goal."""

    def __init__(self, manifest: Manifest, goal: str) -> None:
        self.manifest, self.policy, self._goal = manifest, self, goal

    def warm(self, steps: int = 0) -> None: ...
    def with_substeps(self, substeps: int) -> FollowGoal:
        return self

    def reset(self) -> None: ...
    def step(self, sensors: Mapping[str, Array]) -> dict[str, Array]:
        return {self.manifest.commands[0].name: sensors[self._goal]}


class Device(ABC):
    """A robot that is read every 5 ms: a subclass says what it senses and how the newest command moves it."""

    writer = US
    user_goal: tuple[Array, float] | None = None

    def __init__(self, name: str, clock: FakeClock, offer: Offer) -> None:
        self.name, self.clock, self.offer = name, clock, offer
        self.commands: list[Mapping[str, Array]] = []
        self.calls: list[str] = []
        self._time, self._sequence = clock.time, 0

    @abstractmethod
    def sense(self) -> dict[str, Array]: ...

    @abstractmethod
    def move(self, command: Mapping[str, Array], dt: float) -> None: ...

    def connect(self, timeout: float) -> None:
        return

    def arm(self) -> None:
        return

    def read(self) -> RobotReading | None:
        while self._time + READING_PERIOD <= self.clock.time:
            self._time += READING_PERIOD
            self._sequence += 1
            if self.commands:
                self.move(self.commands[-1], READING_PERIOD)
        return RobotReading(self.sense(), self._time, self._time, self._sequence)

    def link(self) -> LinkStatus:
        return LinkStatus(True, 0.01, US if self.commands else "", "moving" if self.commands else "ready", 0, 0)

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        self.commands.append({name: np.array(value) for name, value in command.items()})

    def stop(self) -> None:
        self.calls.append("stop")

    def emergency_stop(self) -> None:
        self.calls.append("emergency_stop")

    def close(self) -> None:
        return
