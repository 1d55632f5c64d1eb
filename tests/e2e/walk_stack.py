"""Bridge, simulated legged robot, fault proxy and the deployed policy: one whole walk of real processes on loopback."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import numpy as np

from real.recording.messages import read_recording
from real.simulated.robot_log import read_path
from sim.robots.go1 import GO1
from tests.e2e.flight_stack import CLOCKS, MARGIN, MAX_AGE, Flight, Report, Stack
from tests.e2e.processes import Process, RotorRecords, eventually
from tests.e2e.trot_policy import COMMAND_ORDER, PERIOD, RATE_LIMIT
from tests.real.bridge.bridge_in_thread import BareClient

TICK = PERIOD
BLIND = MAX_AGE + 0.15 + TICK
QUICK = ("--stand", "1", "--settle", "0.2", "--halt", "0.4", "--lie", "1")
"""Shorter times than a robot gets, so that the tests are quick."""
FORWARD = ("--command", "0.3", "0", "0", *QUICK)


class WalkStack(Stack):
    """The processes of a walk; `robot_arguments` are for robots that are started from now on."""

    robot_arguments: tuple[str, ...] = ()

    def _start_robot(self) -> Process:
        self._robots += 1
        self.log = self.folder / f"walk{self._robots}.jsonl"
        self.rotor = RotorRecords(self.log)
        return Process(["robot", "go1", "--url", self.url, "--log", str(self.log), *self.robot_arguments])

    def begin_restart(self) -> None:
        """Kill the robot and start another one, without waiting for it."""
        self.robot.end(signal.SIGKILL)
        self.robot = self._start_robot()

    def reset(self) -> None:
        """No faults, and the robot lying where it began."""
        self._clear()
        self.person("place", until="resting")
        self.rotor.mark()

    def person(self, words: str, until: str = "") -> None:
        """Do with the robot what a person does, and wait until its mode is `until`."""
        client = BareClient(self.url)
        for topic in ("/robot_stop", "/test_stand"):
            client.send({"op": "advertise", "topic": topic, "type": "std_msgs/msg/String"})
        if until:
            client.send({"op": "publish", "topic": "/robot_stop", "msg": {"data": "test estop"}})
            client.settle()

        def done() -> bool:
            client.send({"op": "publish", "topic": "/test_stand", "msg": {"data": words}})
            client.settle()
            return not until or self.mode(client) == until

        eventually(done, f"the robot is {until} after {words!r}")
        client.close()

    def walk(self, *arguments: str, through_proxy: bool = False, bundle: Path | None = None) -> Flight:
        """Start walking, and wait until the policy has had half a second."""
        flight = self.deploy(*arguments, through_proxy=through_proxy, bundle=bundle)
        flight.fly_for(round((1.0 + 0.2 + 0.5) / PERIOD))
        return flight

    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Time and base pose x, y, z, yaw since the robot's start."""
        times, poses, _ = read_path(self.log)
        return times, poses


def check_motors(stack: WalkStack) -> None:
    """What reached the motors was finite, within limits, fresh, of one writer, in order, and never jumped."""
    low, high = np.array(GO1.joint_low), np.array(GO1.joint_high)
    newest, joints = None, None
    accepted = 0
    for record in stack.rotor.read():
        if record["kind"] == "truth":
            joints = np.array(record["joints"])
        if record["kind"] != "accepted":
            continue
        accepted += 1
        target = np.array(record["target"])
        assert np.isfinite(target).all()
        assert ((target >= low - 1e-5) & (target <= high + 1e-5)).all()
        assert 0.0 <= record["age"] <= MAX_AGE
        if newest is None:
            # The first command differs from where the joints are by noise, rate limit and travel limit alone.
            assert joints is not None
            assert np.abs(target - joints).max() < 0.1
        else:
            assert record["writer"] == newest["writer"]
            assert record["sequence"] > newest["sequence"]
            sent = (record["sequence"] - newest["sequence"]) * 2.0 * TICK * RATE_LIMIT
            assert np.abs(target - np.array(newest["target"])).max() <= sent + 1e-6
        newest = record
    assert accepted


def check_damped(stack: WalkStack, since: float) -> None:
    """The robot damps: no target holds its joints any more, and it came to that once, not before the fault."""
    changes = [(record["before"], record["after"]) for record in stack.rotor.read("state")]
    assert changes == [("resting", "ready"), ("ready", "active"), ("active", "failsafe")], changes
    taken_over = stack.rotor.read("state")[2]["time"]
    assert taken_over >= since - CLOCKS
    assert stack.rotor.read("accepted")[-1]["time"] <= taken_over


def check_host(report: Report, state: str, causes: set[str], fault_at: float, within: float, code: int = 1) -> None:
    """The host entered `state` in the documented time `within` s of the fault, recorded why, and sent no more."""
    change = report.entered(state)
    assert change["cause"] in causes, report.output
    assert -CLOCKS <= change["time"] - fault_at <= within + MARGIN, (change["time"] - fault_at, report.output)
    assert report.exit_code == code
    topics = read_recording(report.recording)
    sent = [(time, content["sent"]["joint_position_target"]) for time, content in topics["/command"] if content["sent"]]
    assert all(len(row) == len(COMMAND_ORDER) and all(math.isfinite(v) for v in row) for _, row in sent)
    if state in ("DAMP", "ESTOP"):
        assert report.ended_by <= causes, report.output
        assert report.states[-1] == state
        assert sent[-1][0] <= change["time"] + CLOCKS, "a command left after the walk was given up"
