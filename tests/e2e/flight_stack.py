"""Bridge, simulated robot, fault proxy and the deployed policy: one whole flight of real processes on loopback."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.physics.rotor.parameters import PARAMETERS
from tests.e2e.fault_proxy import FaultProxy
from tests.e2e.processes import Process, RotorRecords, eventually
from tests.real.bridge.bridge_in_thread import BareClient

MAX_AGE = 0.1
WATCHDOG = 0.2
HIGH = PARAMETERS["crazyflie-2025"].max_speed


@dataclass
class Report:
    """What `robo-rl deploy --json` wrote."""

    exit_code: int
    values: dict[str, Any]

    @property
    def causes(self) -> dict[str, dict[str, Any]]:
        """The events by cause."""
        return {event["cause"]: event for event in self.values["events"]}

    @property
    def ended_by(self) -> set[str]:
        """The causes that fired a trigger."""
        return {event["cause"] for event in self.values["events"] if event["trigger"]}

    @property
    def states(self) -> list[str]:
        """The states in order."""
        return [change["target"] for change in self.values["states"]]


class Stack:
    """Starts the processes once and restarts what a test has killed."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self.bundle = bundle
        self.bridge = Process(["bridge", "--port", "0"])
        self.url = self.bridge.wait_for("bridge ready").split()[-1]
        self.proxy = FaultProxy(self.url)
        self._robots = 0
        self.robot = self._start_robot()
        self.robot.wait_for("robot ready")

    def _start_robot(self) -> Process:
        self._robots += 1
        log = self.folder / f"rotor{self._robots}.jsonl"
        self.rotor = RotorRecords(log)
        return Process(["robot", "crazyflie", "--url", self.url, "--log", str(log), "--start", "0", "0", "0.5"])

    def restart_bridge(self) -> None:
        """Start the bridge again where it was."""
        self.bridge.end(signal.SIGKILL)
        self.bridge = Process(["bridge", "--port", self.url.rsplit(":", 1)[1]])
        self.bridge.wait_for("bridge ready")

    def restart_robot(self) -> None:
        """Start another robot."""
        self.robot.end(signal.SIGKILL)
        self.robot = self._start_robot()
        self.robot.wait_for("robot ready")

    def reset(self) -> None:
        """No faults, and the vehicle on its test stand."""
        self.proxy.faults.clear()
        client = BareClient(self.url)
        client.send({"op": "advertise", "topic": "/robot_stop", "type": "std_msgs/msg/String"})
        client.send({"op": "advertise", "topic": "/test_stand", "type": "std_msgs/msg/String"})
        client.send({"op": "publish", "topic": "/robot_stop", "msg": {"data": "test estop"}})
        client.settle()

        def placed() -> bool:
            client.send({"op": "publish", "topic": "/test_stand", "msg": {"data": "place"}})
            client.settle()
            return self.mode(client) == "holding"

        eventually(placed, "the vehicle is back on its test stand")
        client.close()
        self.rotor.mark()

    def mode(self, client: BareClient) -> str:
        """The robot's state in one word, from its next status."""
        client.send({"op": "subscribe", "topic": "/robot_status", "type": "diagnostic_msgs/msg/DiagnosticArray"})
        while (operation := client.receive(10.0)).get("topic") != "/robot_status":
            pass
        client.send({"op": "unsubscribe", "topic": "/robot_status"})
        client.settle()
        return str(operation["msg"]["status"][0]["message"])

    def deploy(self, *arguments: str, through_proxy: bool = False) -> Flight:
        """Start flying."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        url = self.proxy.url if through_proxy else self.url
        return Flight(
            self, Process(["deploy", str(self.bundle), "--url", url, "--json", str(report), *arguments]), report
        )

    def close(self) -> None:
        """End everything; robot and bridge end well when asked to."""
        self.proxy.close()
        codes = self.robot.end(), self.bridge.end()
        assert codes == (0, 0), f"robot and bridge ended with {codes}:\n{self.robot.output}\n{self.bridge.output}"


@dataclass
class Flight:
    """A running `robo-rl deploy`."""

    stack: Stack
    process: Process
    report_path: Path

    def fly_for(self, commands: int = 60) -> None:
        """Wait until the vehicle has taken that many commands."""

        def flown() -> bool:
            if self.process.lines:
                raise AssertionError(f"deploy ended too early:\n{self.process.output}")
            return len(self.stack.rotor.read("accepted")) >= commands

        eventually(flown, f"the vehicle accepts {commands} commands")

    def robot_enters(self, mode: str) -> None:
        """Wait until the vehicle has changed to `mode`."""
        changed = self.stack.rotor
        eventually(lambda: any(r["after"] == mode for r in changed.read("state")), f"the vehicle is in state {mode}")

    def report(self) -> Report:
        """Wait for the end and read the report."""
        code = self.process.exit_code()
        assert self.report_path.exists(), self.process.output
        values: dict[str, Any] = json.loads(self.report_path.read_text())
        return Report(code, values)

    def touches_down(self) -> None:
        """Wait until the vehicle's own fail-safe has brought it to the ground."""
        eventually(lambda: bool(self.stack.rotor.read("event")), "the fail-safe brings the vehicle down")


def check_rotors(rotor: RotorRecords, writers: Sequence[str] = ()) -> None:
    """Nothing stale, non-finite, out of limits, out of order or of a second writer has reached the rotors."""
    accepted, applied = rotor.read("accepted"), rotor.read("applied")
    assert applied
    for record in (*accepted, *applied):
        speeds = record["rotor_speed"]
        assert len(speeds) == 4
        assert all(math.isfinite(v) and 0.0 <= v <= HIGH * (1 + 1e-6) for v in speeds), record
    by_writer: dict[str, list[int]] = {}
    for record in accepted:
        assert 0.0 <= record["age"] <= MAX_AGE, record
        by_writer.setdefault(record["writer"], []).append(record["sequence"])
    for sequences in by_writer.values():
        assert sequences == sorted(set(sequences))
    assert len(by_writer) <= 1
    for record in applied:
        if record["source"] == "policy":
            assert record["silence"] <= WATCHDOG, record


def check_failsafe(rotor: RotorRecords) -> None:
    """The vehicle left the policy once, at the documented time after the last command, and nothing moved it again."""
    changes = [(record["before"], record["after"]) for record in rotor.read("state")]
    assert changes == [("holding", "flying"), ("flying", "failsafe")], changes
    taken_over = rotor.read("state")[1]["time"]
    late = [record for record in rotor.read("accepted") if record["time"] > taken_over]
    assert not late, f"commands accepted after the fail-safe began: {late}"
