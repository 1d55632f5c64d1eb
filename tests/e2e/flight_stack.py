"""Bridge, simulated robot, fault proxy and the deployed policy: one whole flight of real processes on loopback."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real.recording.messages import read_recording
from sim.robots.crazyflie import PARAMETERS
from sim.tasks.crazyflie import PERIOD, SAFETY
from tests.e2e.fault_proxy import FaultProxy
from tests.e2e.processes import Process, RotorRecords, eventually
from tests.real.bridge.bridge_in_thread import BareClient

MAX_AGE = 0.1
HEIGHT = "0.3"
"""Of the test stand, in m: low, so that no test waits long for a landing."""
WATCHDOG = 0.2
HIGH = PARAMETERS["crazyflie-2025"].max_speed
TICK = PERIOD
BLIND = SAFETY.max_input_age + 0.15 + TICK
"""How long, in s, the host goes on without a good reading, as docs/safety.md has it."""
STATUS_PERIOD = 0.05
MARGIN = 0.5
"""How much later than documented, in s, a reaction may show: host, robot, bridge and the test share two cores, which
others may keep busy, and none of them is a real-time system."""
CLOCKS = 0.01
"""How far, in s, two processes' ideas of the time of day may differ: each sets it once and counts on."""


@dataclass
class Report:
    """What `robo-rl deploy` wrote with --json and --record, and what it printed."""

    exit_code: int
    values: dict[str, Any]
    output: str
    recording: Path

    @property
    def causes(self) -> dict[str, dict[str, Any]]:
        """The events by cause."""
        return {event["cause"]: event for event in self.values["events"]}

    @property
    def ended_by(self) -> set[str]:
        """The causes that fired a trigger."""
        return {event["cause"] for event in self.values["events"] if event["trigger"]}

    def entered(self, state: str) -> dict[str, Any]:
        """The last change to `state`, its time in s of Unix time."""
        change = [c for c in self.values["states"] if c["target"] == state][-1]
        return {**change, "time": self.values["begun"] + change["time"]}

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
        self._host: Process | None = None
        self.robot = self._start_robot()
        self.robot.wait_for("robot ready")

    def _start_robot(self) -> Process:
        self._robots += 1
        log = self.folder / f"rotor{self._robots}.jsonl"
        self.rotor = RotorRecords(log)
        return Process(["robot", "crazyflie", "--url", self.url, "--log", str(log), "--start", "0", "0", HEIGHT])

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
        self._clear()
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

    def _clear(self) -> None:
        """No faults, and no host: one that a failed test has left behind would disturb the next test."""
        self.proxy.faults.clear()
        self.proxy.upward_faults.clear()
        if self._host is not None:
            self._host.end(signal.SIGKILL)
            self._host = None

    def mode(self, client: BareClient) -> str:
        """The robot's state in one word, from its next status."""
        client.send({"op": "subscribe", "topic": "/robot_status", "type": "diagnostic_msgs/msg/DiagnosticArray"})
        while (operation := client.receive(10.0)).get("topic") != "/robot_status":
            pass
        client.send({"op": "unsubscribe", "topic": "/robot_status"})
        client.settle()
        return str(operation["msg"]["status"][0]["message"])

    def deploy(self, *arguments: str, through_proxy: bool = False, bundle: Path | None = None) -> Flight:
        """Start flying."""
        report, recording = self.folder / "report.json", self.folder / "flight.mcap"
        for path in (report, recording):
            path.unlink(missing_ok=True)
        url = self.proxy.url if through_proxy else self.url
        command = ["deploy", str(bundle or self.bundle), "--url", url, "--json", str(report), *arguments]
        if "--record" not in arguments:
            command += ["--record", str(recording)]
        self._host = Process(command)
        return Flight(self, self._host, report, recording)

    def close(self) -> None:
        """End everything; robot and bridge end well when asked to."""
        self._clear()
        self.proxy.close()
        codes = self.robot.end(), self.bridge.end()
        assert codes == (0, 0), f"robot and bridge ended with {codes}:\n{self.robot.output}\n{self.bridge.output}"


@dataclass
class Flight:
    """A running `robo-rl deploy`."""

    stack: Stack
    process: Process
    report_path: Path
    recording: Path

    def fly_for(self, commands: int = 40) -> None:
        """Wait until the vehicle has taken that many commands."""

        def flown() -> bool:
            if self.process.lines:
                raise AssertionError(f"deploy ended too early:\n{self.process.output}")
            return len(self.stack.rotor.read("accepted")) >= commands

        eventually(flown, f"the vehicle accepts {commands} commands")

    def robot_enters(self, mode: str) -> float:
        """Wait until the vehicle has changed to `mode`; return when it did, in s of Unix time."""

        def changes() -> list[dict[str, Any]]:
            return [r for r in self.stack.rotor.read("state") if r["after"] == mode]

        eventually(lambda: bool(changes()), f"the vehicle is in state {mode}")
        return float(changes()[0]["time"])

    def report(self) -> Report:
        """Wait for the end and read the report."""
        code = self.process.exit_code()
        assert self.report_path.exists(), self.process.output
        values: dict[str, Any] = json.loads(self.report_path.read_text())
        return Report(code, values, self.process.output, self.recording)

    def touches_down(self) -> None:
        """Wait until the vehicle's own fail-safe has brought it to the ground."""
        eventually(lambda: bool(self.stack.rotor.read("event")), "the fail-safe brings the vehicle down")


def check_rotors(rotor: RotorRecords) -> None:
    """Nothing stale, non-finite, out of limits, out of order or of a second writer has reached the rotors.

    What drove the rotors under the policy is the newest command accepted, not older than the watchdog allows, and was
    computed from a state that was fresh.
    """
    newest: dict[str, Any] | None = None
    steps = 0
    for record in rotor.read():
        if record["kind"] not in ("accepted", "applied"):
            continue
        speeds = record["rotor_speed"]
        assert len(speeds) == 4
        assert all(math.isfinite(v) and 0.0 <= v <= HIGH * (1 + 1e-6) for v in speeds), record
        if record["kind"] == "accepted":
            assert 0.0 <= record["age"] <= MAX_AGE, record
            if newest is not None:
                assert record["writer"] == newest["writer"]
                assert record["sequence"] > newest["sequence"]
            newest = record
            continue
        steps += 1
        assert max(speeds) <= HIGH
        if record["source"] == "policy":
            assert newest is not None
            assert speeds == [min(v, HIGH) for v in newest["rotor_speed"]]
            assert record["time"] - newest["time"] <= WATCHDOG + 1e-6, record
    assert steps


def check_failsafe(rotor: RotorRecords, since: float) -> None:
    """The vehicle left the policy once, in its documented time, and nothing but its own controller moved it again.

    `since`: when the fault began, in s of Unix time. Either the watchdog acted, or the host's stop came before.
    """
    states = rotor.read("state")
    changes = [(record["before"], record["after"]) for record in states]
    assert changes == [("holding", "flying"), ("flying", "failsafe")], changes
    taken_over, cause = states[1]["time"], states[1]["cause"]
    accepted = [record["time"] for record in rotor.read("accepted")]
    assert accepted[-1] <= taken_over, "a command was accepted after the fail-safe began"
    if cause == "no accepted command for 0.2 s":
        assert WATCHDOG <= taken_over - accepted[-1] <= WATCHDOG + MARGIN
    else:
        assert cause == "stop request"
        assert taken_over - accepted[-1] <= WATCHDOG + 1e-6
    assert taken_over >= since - CLOCKS
    sources = {record["source"] for record in rotor.read("applied") if record["time"] > taken_over}
    assert sources <= {"onboard", "off"}


def check_host(report: Report, state: str, causes: set[str], fault_at: float, within: float, code: int = 1) -> None:
    """The host entered `state` in the documented time `within` s of the fault, and recorded why.

    `fault_at` in s of Unix time; `causes` are those that may have come first.
    """
    change = report.entered(state)
    assert change["cause"] in causes, report.output
    assert report.ended_by <= causes, report.output
    assert -CLOCKS <= change["time"] - fault_at <= within + MARGIN, (change["time"] - fault_at, report.output)
    assert report.exit_code == code
    assert change["cause"] in report.output
    topics = read_recording(report.recording)
    assert [state, change["cause"]] in [[content["state"], content["cause"]] for _, content in topics["/state"]]
    assert any(change["cause"] in content["message"] for _, content in topics["/events"])
    sent = [(time, content["sent"]["rotor_speed"]) for time, content in topics["/command"] if content["sent"]]
    assert all(math.isfinite(v) and 0.0 <= v <= HIGH for _, speeds in sent for v in speeds)
    if state in ("DAMP", "ESTOP"):
        assert report.states[-1] == state
        assert sent[-1][0] <= change["time"] + CLOCKS, "a command left after the flight was given up"
