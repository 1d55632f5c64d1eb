"""The common part of the simulated robots' processes: steps in real time on an absolute schedule, and a bridge."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from real.bridge.client import BridgeClient
from real.contract.robot import ESTOPPED, FAILSAFE
from real.ros import messages
from real.ros.connection import RosbridgeConnection
from real.ros.messages import MalformedMessage, StatusSample
from real.ros.topics import FlightTopics, LeggedTopics
from real.ros.version import type_name
from real.simulated.acceptance import CommandGate
from real.simulated.process import LONGEST_CATCH_UP, TEST_STAND, RobotClock, boot_identity


class RobotProcess(ABC):
    """A robot that steps every `period` s and listens in between."""

    def __init__(self, period: float) -> None:
        self.clock = RobotClock()
        self._period = round(period * 1e9)

    def run(self, stopped: list[int], paced: bool = True) -> None:
        """Step until `stopped` has an entry; in real time, or as fast as it goes if not `paced`."""
        due = self.clock.now()
        number = 0
        while not stopped:
            due += self._period
            if paced:
                late = self.clock.now() - due
                if late > LONGEST_CATCH_UP * 1e9:
                    due += late  # The process was frozen: the robot stood still, its watchdog did not.
                    print(f"robot: held up for {late * 1e-9:.2f} s", file=sys.stderr, flush=True)
                self._listen_until(due)
            else:
                self.listen()
            number += 1
            self.step(due, number)

    @abstractmethod
    def wait(self, seconds: float) -> bool:
        """Wait until something has come, for at most `seconds` s; whether it has."""

    @abstractmethod
    def listen(self) -> None:
        """Handle what has come."""

    @abstractmethod
    def step(self, due: int, number: int) -> None:
        """Step number `number`, from 1, which was due at `due` ns of the robot's clock."""

    def _listen_until(self, due: int) -> None:
        """Handle what arrives; it takes effect with the step at `due`."""
        while (rest := due - self.clock.now()) > 0:
            if self.wait(rest * 1e-9):
                self.listen()
        self.listen()


class BridgeProcess(RobotProcess):
    """A robot behind a rosbridge server, with commands, stop requests, a test stand and a status."""

    def __init__(
        self, period: float, settings: RosbridgeConnection, topics: FlightTopics | LeggedTopics,
        published: tuple[str, ...], gate: CommandGate, ready: str,
    ) -> None:  # fmt: skip
        """`published`: its topics beside the status; `gate` checks its commands; `ready` is printed once connected."""
        super().__init__(period)
        self.version = settings.ros_version
        self.topics = topics
        self._test_stand = settings.namespace + TEST_STAND
        self._gate = gate
        self._boot = boot_identity()
        types = {name: type_name(kind, self.version) for name, kind in topics.types.items()}
        types[self._test_stand] = type_name(messages.STRING, self.version)
        self._link = BridgeClient(
            settings.url,
            settings.token,
            settings.ca_file,
            advertised={name: types[name] for name in (*published, topics.status)},
            subscribed={name: types[name] for name in (topics.command, topics.stop, self._test_stand)},
            on_first_connection=lambda: print(ready, flush=True),
        )

    @abstractmethod
    def command(self, message: object, now: float) -> None:
        """Handle a command of `now` s of the robot's clock; may raise MalformedMessage."""

    @abstractmethod
    def request(self, request: str, now: float) -> None:
        """Handle a request: "stop", "estop" or "arm"."""

    @abstractmethod
    def handle(self, message: Any, now: float) -> None:
        """Handle a person's action on the test stand."""

    def publish(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Send one message each on some topics."""
        self._link.publish(found)

    def publish_status(self, stamp: int, mode: str, cause: str, values: Mapping[str, Any]) -> None:
        """Send the status: the gate's counts, and the robot's own `values`."""
        gate, now = self._gate, self.clock.now() * 1e-9
        known: dict[str, Any] = {
            "owner": gate.owner(now),
            "accepted": gate.accepted,
            "rejected": gate.rejected.total(),
            "silence": f"{gate.silence(now):.4f}",
            "command_age": f"{gate.last_age:.4f}",
            "cause": cause,
            "boot": self._boot,
            **values,
            **{f"rejected: {why}": number for why, number in gate.rejected.items()},
        }
        sample = StatusSample(stamp, mode, {name: str(value) for name, value in known.items()})
        level = 2 if mode in (FAILSAFE, ESTOPPED) else 0
        self.publish({self.topics.status: messages.status_message(sample, self.version, level)})

    def wait(self, seconds: float) -> bool:
        return self._link.wait(seconds)

    def listen(self) -> None:
        for topic, message in self._link.take():
            now = self.clock.now() * 1e-9
            try:
                if topic == self.topics.command:
                    self.command(message, now)
                elif topic == self.topics.stop:
                    self.request(messages.parse_stop(message)[1], now)
                elif topic == self._test_stand:
                    self.handle(message, now)
            except MalformedMessage as error:
                self._gate.reject(f"malformed, {error.cause}")

    def close(self) -> None:
        """Leave the bridge."""
        self._link.close()
