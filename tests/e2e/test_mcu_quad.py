"""Bridge, host, serial link, firmware on an emulated chip, and rotor physics: whole flights of real processes."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.flight_stack import CLOCKS, HIGH, MARGIN, WATCHDOG
from tests.e2e.processes import Process, RotorRecords, eventually
from tests.mcu_tools import needs_arm, needs_qemu
from tests.real.bridge.bridge_in_thread import BareClient

pytestmark = [pytest.mark.e2e, needs_arm, needs_qemu, pytest.mark.realtime]

TAKEOFF = 0.3
DRIVEN = ("flying", "failsafe")
"""The chip's states in which its motors may turn."""


@dataclass
class ChipStack:
    """A bridge, and a quadrotor with its chip; `deploy` flies it."""

    folder: Path
    bundle: Path
    bridge: Process = field(init=False)
    robot: Process = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "chip.jsonl"
        self.records = RotorRecords(self.log)
        self.bridge = Process(["bridge", "--port", "0"])
        self.robot = Process(["robot", "mcu-quad", str(self.bundle), "--port", "0", "--log", str(self.log)])
        self.url = self.bridge.wait_for("bridge ready").split()[-1]
        self.serial = self.robot.wait_for("robot ready mcu-quad").split()[-1]

    def deploy(self, *arguments: str) -> Process:
        """Start a host that takes off and then follows poses."""
        self.records.mark()
        self.report = self.folder / "report.json"
        self.report.unlink(missing_ok=True)
        command = ["deploy", str(self.bundle), "--serial", self.serial, "--bridge", self.url, "--duration", "60"]
        return Process([*command, "--takeoff", str(TAKEOFF), "--json", str(self.report), *arguments])

    def states(self) -> list[str]:
        """The chip's states since the host was started, in order."""
        return [record["after"] for record in self.records.read("state")]

    def reaches(self, state: str, host: Process) -> None:
        """Wait until the chip is in `state`."""

        def there() -> bool:
            assert self.robot.running, self.robot.output
            return state in self.states() or self._check_host(host)

        eventually(there, f"the chip is {state}")

    def rises(self, host: Process) -> None:
        """Wait until the vehicle has taken off."""
        self.reaches("flying", host)
        eventually(lambda: self.position()[2] > 0.8 * TAKEOFF or self._check_host(host), "the vehicle takes off")

    def position(self) -> np.ndarray:
        """Where the vehicle is, in truth."""
        return np.array(self.records.read("applied")[-1]["position"])

    def values(self) -> dict[str, Any]:
        """The host's report."""
        values: dict[str, Any] = json.loads(self.report.read_text())
        return values

    def close(self) -> None:
        self.robot.end()
        self.bridge.end()

    def _check_host(self, host: Process) -> bool:
        assert host.running, f"the host ended too early:\n{host.output}\n{self.robot.output}"
        return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, controller_bundle: Path) -> Iterator[ChipStack]:
    with contextlib.closing(ChipStack(tmp_path_factory.mktemp("chip"), controller_bundle)) as stack:
        yield stack


@contextlib.contextmanager
def poses(url: str, position: tuple[float, float, float]) -> Iterator[None]:
    """Publish on the bridge where to fly, 20 times a second."""
    ended = threading.Event()
    x, y, z = position
    pose = {
        "header": {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": "world"},
        "pose": {"position": {"x": x, "y": y, "z": z}, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}},
    }

    def publish() -> None:
        client = BareClient(url)
        client.send({"op": "advertise", "topic": "/setpoint_pose", "type": "geometry_msgs/msg/PoseStamped"})
        while not ended.wait(0.05):
            client.send({"op": "publish", "topic": "/setpoint_pose", "msg": pose})
        client.close()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ask(url: str, request: str) -> None:
    """Ask on the bridge to stop, three times, as an operator would."""
    client = BareClient(url)
    client.send({"op": "advertise", "topic": "/robot_stop", "type": "std_msgs/msg/String"})
    for _ in range(3):
        client.send({"op": "publish", "topic": "/robot_stop", "msg": {"data": f"person {request}"}})
    client.settle()
    client.close()


def check_motors(stack: ChipStack) -> None:
    """Every command was finite and within limits, and zero where the chip does not fly."""
    applied = stack.records.read("applied")
    assert applied
    for record in applied:
        speeds = record["rotor_speed"]
        assert len(speeds) == 4
        assert all(math.isfinite(v) and 0.0 <= v <= HIGH * (1 + 1e-6) for v in speeds), record
        if record["source"] not in DRIVEN:
            assert speeds == [0.0] * 4, record


def test_a_pose_on_the_bridge_is_where_the_chip_flies(stack: ChipStack) -> None:
    client = BareClient(stack.url)
    client.send({"op": "subscribe", "topic": "/odom", "type": "nav_msgs/msg/Odometry"})
    client.send({"op": "subscribe", "topic": "/robot_status", "type": "diagnostic_msgs/msg/DiagnosticArray"})
    goal = (0.15, -0.2, 0.45)
    host = stack.deploy()
    with poses(stack.url, goal):
        stack.rises(host)
        eventually(lambda: np.abs(stack.position() - goal).max() < 0.12, "the vehicle is where the pose says")
        shown = [client.receive(10.0) for _ in range(20)]
        ask(stack.url, "stop")
        assert host.exit_code() == 0, host.output
    client.close()
    heights = [m["msg"]["pose"]["pose"]["position"]["z"] for m in shown if m["topic"] == "/odom"]
    assert heights
    words = {m["msg"]["status"][0]["message"] for m in shown if m["topic"] == "/robot_status"}
    assert words <= {"ready", "flying", "resting"}, "three times a stop is one request to land"
    assert [s["target"] for s in stack.values()["states"]] == ["READY", "POLICY", "LAND", "IDLE"]
    eventually(lambda: stack.states()[-1] == "landed", "the chip has landed")
    assert stack.states() == ["ready", "flying", "failsafe", "landed"]
    assert abs(stack.position()[2]) < 1e-6
    check_motors(stack)


def test_a_killed_host_leaves_the_chip_to_its_own_descent(stack: ChipStack) -> None:
    host = stack.deploy()
    stack.rises(host)
    host.end(signal.SIGKILL)
    eventually(lambda: "failsafe" in stack.states(), "the chip takes over")
    eventually(lambda: stack.states()[-1] == "landed", "it lands")
    assert stack.states() == ["ready", "flying", "failsafe", "landed"]
    applied = stack.records.read("applied")
    began = next(record["time"] for record in stack.records.read("state") if record["after"] == "failsafe")
    # The log is of the simulator, which knows when the last byte of the host came no better than by its own end.
    assert began - host.ended_at <= WATCHDOG + MARGIN + CLOCKS
    heights = np.array([r["position"][2] for r in applied if r["source"] == "failsafe"])
    assert heights.max() < heights[0] + 0.1, "it sinks, and does not climb"
    assert heights[-1] < 0.01
    check_motors(stack)


def test_an_emergency_stop_on_the_bridge_stops_the_motors_at_once(stack: ChipStack) -> None:
    host = stack.deploy()
    stack.rises(host)
    ask(stack.url, "estop")
    assert host.exit_code() == 1, host.output
    values = stack.values()
    assert (values["final_state"], values["states"][-1]["cause"]) == ("ESTOP", "emergency_requested")
    assert stack.states() == ["ready", "flying", "estopped"]
    check_motors(stack)


def test_a_dead_emulator_is_reported_and_the_motors_are_off(stack: ChipStack) -> None:
    """The last test: there is no robot after it."""
    (emulator,) = stack.robot.children()
    emulator.kill()
    assert stack.robot.exit_code() == 2
    assert "the emulated chip ended by signal SIGKILL; the motors are off" in stack.robot.output
    records = RotorRecords(stack.log).read()
    assert records[-1]["source"] == "dead"
    assert records[-1]["rotor_speed"] == [0.0] * 4
