"""Faults of the host: a damaged bundle, a full disk, and requests to end the flight."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from real.recording.recorder import FLUSH_EVERY
from tests.e2e.flight_stack import (
    BLIND,
    CLOCKS,
    MARGIN,
    TICK,
    WATCHDOG,
    Flight,
    Stack,
    check_failsafe,
    check_host,
    check_rotors,
)
from tests.e2e.processes import Process

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]


def test_a_bundle_with_one_flipped_byte_never_flies(stack: Stack, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(stack.bundle, damaged)
    policy = bytearray((damaged / "policy.onnx").read_bytes())
    policy[len(policy) // 2] ^= 1
    (damaged / "policy.onnx").write_bytes(policy)
    process = Process(["deploy", str(damaged), "--url", stack.url])
    assert process.exit_code() == 2
    assert len(process.lines) == 1
    assert "policy.onnx" in process.lines[0]
    process.end()
    assert stack.rotor.read("accepted") == []
    assert stack.rotor.read("state") == []


def test_a_full_disk_ends_the_recording_and_not_the_flight(stack: Stack, tmp_path: Path) -> None:
    recording = tmp_path / "flight.mcap"
    # The recorder writes under this name first; the device answers every write as a full disk does.
    (tmp_path / "flight.mcap.partial").symlink_to("/dev/full")
    flight = stack.deploy("--duration", "2", "--record", str(recording))
    report = flight.report()
    assert report.exit_code == 0, flight.process.output
    failed = report.causes["recorder_failed"]
    assert "No space left" in failed["detail"]
    assert failed["trigger"] is None
    # Nothing can be recorded before the flight begins.
    begun = report.entered("POLICY")["time"] - report.values["begun"]
    assert failed["first"] <= max(begun, FLUSH_EVERY) + TICK + MARGIN
    assert "No space left" in report.output
    assert report.states[-1] == "IDLE"
    assert not recording.exists()
    check_rotors(stack.rotor)


def flying(stack: Stack) -> Flight:
    flight = stack.deploy("--duration", "20")
    flight.fly_for()
    return flight


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_end_lands_and_exits_with_0(stack: Stack, number: signal.Signals) -> None:
    flight = flying(stack)
    fault_at = time.time()
    flight.process.send(number)
    report = flight.report()
    check_host(report, "LAND", {"stop_requested"}, fault_at, within=TICK, code=0)
    assert report.states == ["READY", "POLICY", "LAND", "IDLE"]
    assert [record["after"] for record in stack.rotor.read("state")] == ["flying", "landed"]
    check_rotors(stack.rotor)


def test_a_second_request_cuts_the_rotors(stack: Stack) -> None:
    flight = flying(stack)
    flight.process.send(signal.SIGINT)
    time.sleep(0.4)  # Two signals at once count as one request.
    fault_at = time.time()
    flight.process.send(signal.SIGTERM)
    report = flight.report()
    check_host(report, "ESTOP", {"emergency_requested", "stop_requested"}, fault_at, within=TICK)
    cut_at = flight.robot_enters("estopped")
    assert -CLOCKS <= cut_at - report.entered("ESTOP")["time"] <= MARGIN
    check_rotors(stack.rotor)
    assert {r["source"] for r in stack.rotor.read("applied") if r["time"] > cut_at} == {"off"}


def test_a_frozen_deploy_process_that_goes_on_sends_nothing_stale(stack: Stack) -> None:
    flight = flying(stack)
    fault_at = time.time()
    flight.process.send(signal.SIGSTOP)
    flight.touches_down()
    goes_on_at = time.time()
    flight.process.send(signal.SIGCONT)
    report = flight.report()
    # Which of these the first tick finds depends on where it stood still; each lasts far too long by then.
    causes = {"loop_stall", "command_age", "state_age", "heartbeat_lost", "robot_failsafe", "link_refused", "link_lost"}
    check_host(report, "DAMP", causes, goes_on_at, within=BLIND)
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)


def test_the_deploy_process_killed(stack: Stack) -> None:
    flight = flying(stack)
    fault_at = time.time()
    flight.process.send(signal.SIGKILL)
    flight.process.exit_code()
    flight.touches_down()
    assert stack.rotor.read("state")[-1]["cause"] == "no accepted command for 0.2 s"
    assert flight.robot_enters("failsafe") - fault_at <= WATCHDOG + MARGIN
    check_failsafe(stack.rotor, since=fault_at)
    check_rotors(stack.rotor)
