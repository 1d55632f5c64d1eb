"""A fake robot, a fake policy and a fake clock: whole flights in a few hundred milliseconds, with every fault on
demand.

The robot is a point mass whose four commands push it: their mean lifts it, differences move it sideways. The policy
is a proportional-derivative controller of it. Neither is a model of anything; they only make a flight that a loop can
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deploy.bundle.manifest import SCHEMA_VERSION, Identity, Manifest, Timing
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from real.contract.offer import ANGULAR_VELOCITY, LINEAR_VELOCITY, ORIENTATION, POSITION, Offer, Signal
from real.contract.robot import FAILSAFE, Array, LinkDown, LinkStatus, Robot, RobotReading
from real.contract.stop_requests import StopRequests
from real.control.session import Bundle, SessionSettings, run_session
from real.missions.flight import Flight
from real.missions.setpoint import Hold, Setpoint
from real.recording.report import FlightReport

HOVER = 1000.0
HIGH = 2000.0
READING_PERIOD = 0.005
STATUS_PERIOD = 0.05
DELAY = 0.002
"""How long a reading travels, in s."""
CLOCK_OFFSET = 1234.5
"""How far, in s, the robot's clock is behind the host's."""
US = "us"


def make_manifest(**changes: Any) -> Manifest:
    """A hover policy's manifest at 100 Hz."""

    values: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "identity": Identity("fake", "fake-hover", "0" * 64, "1" * 64),
        "kind": "flight",
        "timing": Timing(0.01),
        "sensors": (
            SensorSpec("position", 3, "m", "world", -100.0, 100.0, "target"),
            SensorSpec("orientation", 4, "1", "body to world, w x y z", -1.01, 1.01),
            SensorSpec("linear_velocity", 3, "m/s", "world", -50.0, 50.0),
            SensorSpec("angular_velocity", 3, "rad/s", "body", -50.0, 50.0),
        ),
        "commands": (
            CommandSpec("rotor_speed", 4, "rad/s", (0.0,) * 4, (HIGH,) * 4, 40000.0, ("a", "b", "c", "d"), (0.0,) * 4),
        ),
        "states": (),
        "safety": SafetyEnvelope(1.0, 0.05, 0.06, 0.5, 3.0, (-2.0, -2.0, -0.8), (2.0, 2.0, 2.0)),
        "joints": None,
        "provenance": {},
        "evaluation": {},
    }
    return Manifest(**{**values, **changes})


class FakeClock:
    """Time that passes only when it is slept or looked at, 1 microsecond a look."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        self.time += 1e-6
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class FakePolicy:
    """Holds the fake robot at its target; `spoil` may change what it gives."""

    def __init__(self) -> None:
        self.steps = 0
        self.warmed = False
        self.substeps = 1
        self.spoil: Callable[[Mapping[str, Array], dict[str, Any]], dict[str, Any]] = lambda sensors, command: command

    def warm(self, steps: int = 100) -> None:
        self.warmed = True

    def with_substeps(self, substeps: int) -> FakePolicy:
        self.substeps = substeps
        return self

    def reset(self) -> None:
        self.steps = 0

    def step(self, sensors: Mapping[str, Array]) -> dict[str, Any]:
        self.steps += 1
        push = -6.0 * sensors["position"] - 4.0 * sensors["linear_velocity"]
        x, y, z = (100.0 * float(v) for v in np.clip(push, -4.0, 4.0))
        command = HOVER + np.array([z + x, z - x, z + y, z - y])
        return self.spoil(sensors, {"rotor_speed": np.clip(command, 0.0, HIGH).astype(np.float32)})


@dataclass
class FakeBundle:
    manifest: Manifest = field(default_factory=make_manifest)
    policy: FakePolicy = field(default_factory=FakePolicy)


class FakeRobot:
    """Hangs at `start` until the first command, then flies. Tests set its attributes, at a time by `at`."""

    name = "fake"
    writer = US
    offer = Offer(
        (POSITION, ORIENTATION, LINEAR_VELOCITY, ANGULAR_VELOCITY),
        (Signal("rotor_speed", 4, "rad/s", "", ("a", "b", "c", "d")),),
    )
    user_goal: tuple[Array, float] | None = None

    def __init__(self, clock: FakeClock, start: tuple[float, float, float] = (0.0, 0.0, 0.6)) -> None:
        self.clock = clock
        self.position = np.array(start)
        self.velocity = np.zeros(3)
        self.orientation = np.array([1.0, 0.0, 0.0, 0.0])
        self.command = np.full(4, HOVER)
        self.commands: list[tuple[float, Array]] = []
        self.calls: list[str] = []
        self.spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda sensors: sensors
        self.spoil_link: Callable[[dict[str, Any]], dict[str, Any]] = lambda link: link
        self.delay: Callable[[int], float] = lambda sequence: DELAY
        self.odometry = True
        self.heartbeat = True
        self.refuse = False
        self.connect_error: Exception | None = None
        self.failsafe = False
        self.holds_latch = False
        self._time = clock.time
        self._sequence = 0
        self._beat = clock.time
        self._on_the_way: list[RobotReading] = []
        self._newest: RobotReading | None = None
        self._plans: list[tuple[float, Callable[[], None]]] = []

    def at(self, after: float, act: Callable[[], None]) -> None:
        """Call `act` once, `after` s after the first command."""
        self._plans.append((after, act))

    def connect(self, timeout: float) -> None:
        if self.connect_error is not None:
            raise self.connect_error
        self.calls.append("connect")

    def arm(self) -> None:
        self.calls.append("arm")
        self.failsafe = self.failsafe and self.holds_latch

    def read(self) -> RobotReading | None:
        self._advance()
        arrived = [r for r in self._on_the_way if r.received <= self.clock.time]
        if arrived:
            # As on a real link, what arrived last is the newest to the driver, even if it was sent earlier.
            self._newest = max(arrived, key=lambda r: r.received)
            self._on_the_way = [r for r in self._on_the_way if r.received > self.clock.time]
        return self._newest

    def link(self) -> LinkStatus:
        self._advance()
        owner = US if self.commands else ""
        values = {
            "connected": True,
            "heartbeat_age": self.clock.time - self._beat,
            "owner": owner,
            "robot_state": FAILSAFE if self.failsafe else "flying" if self.commands else "holding",
            "rejected": 0,
            "other_writers": 0,
        }
        return LinkStatus(**self.spoil_link(values))

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        self._advance()
        if self.refuse:
            raise LinkDown("the fake link is down")
        self.command = np.array(command["rotor_speed"])
        self.commands.append((self.clock.time, self.command))

    def stop(self) -> None:
        self.calls.append("stop")

    def emergency_stop(self) -> None:
        self.calls.append("emergency_stop")

    def close(self) -> None:
        self.calls.append("close")

    def _advance(self) -> None:
        while self._time + READING_PERIOD <= self.clock.time:
            self._time += READING_PERIOD
            if self.commands:
                self._fly()
                for plan in [p for p in self._plans if self._time - self.commands[0][0] >= p[0]]:
                    self._plans.remove(plan)
                    plan[1]()
            self._sense()

    def _fly(self) -> None:
        a, b, c, d = self.command
        force = np.array([(a - b) / 200.0, (c - d) / 200.0, (a + b + c + d) / 400.0 - 10.0])
        self.velocity = self.velocity + READING_PERIOD * force
        self.position = self.position + READING_PERIOD * self.velocity
        if self.position[2] < 0.0:
            self.position[2], self.velocity = 0.0, np.zeros(3)

    def _sense(self) -> None:
        self._sequence += 1
        if self.heartbeat and self._time - self._beat >= STATUS_PERIOD:
            self._beat = self._time
        if not self.odometry:
            return
        sensors: dict[str, Any] = {
            "position": self.position.copy(),
            "orientation": self.orientation.copy(),
            "linear_velocity": self.velocity.copy(),
            "angular_velocity": np.zeros(3),
        }
        received = self._time + self.delay(self._sequence)
        stamp = self._time - CLOCK_OFFSET
        self._on_the_way.append(RobotReading(self.spoil(sensors), stamp, received, self._sequence))


def fly(
    bundle: Bundle,
    robot: Robot,
    clock: FakeClock | None = None,
    requests: StopRequests | None = None,
    *,
    duration: float = 2.0,
    setpoint: Setpoint | None = None,
    ground: float = 0.0,
    **settings: Any,
) -> FlightReport:
    """Fly `bundle` on `robot`, 2 s on the spot unless the rest says otherwise; `settings` are those of the session."""
    mission = Flight(bundle.manifest, setpoint or Hold(), duration, ground)
    return run_session(bundle, robot, mission, SessionSettings(**settings), clock, requests)


def fly_fake(
    prepare: Callable[[FakeRobot, FakeBundle], None] = lambda robot, bundle: None,
    bundle: FakeBundle | None = None,
    clock: FakeClock | None = None,
    **settings: Any,
) -> tuple[FlightReport, FakeRobot]:
    """Fly the fake robot; `prepare` plans its faults, `settings` are those of `fly`."""
    clock = clock or FakeClock()
    robot, bundle = FakeRobot(clock), bundle or FakeBundle()
    prepare(robot, bundle)
    return fly(bundle, robot, clock, **settings), robot
