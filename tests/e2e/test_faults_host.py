"""Faults of the host: a damaged bundle, a full disk, and requests to end the flight."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.flight_stack import Flight, Stack, check_rotors
from tests.e2e.processes import Process

pytestmark = pytest.mark.e2e


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
    assert "No space left" in report.causes["recorder_failed"]["detail"]
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
    flight.process.send(number)
    report = flight.report()
    assert report.exit_code == 0, flight.process.output
    assert report.states == ["READY", "POLICY", "LAND", "IDLE"]
    assert "stop_requested" in report.causes
    assert [record["after"] for record in stack.rotor.read("state")] == ["flying", "landed"]
    check_rotors(stack.rotor)


def test_a_second_request_cuts_the_rotors(stack: Stack) -> None:
    flight = flying(stack)
    flight.process.send(signal.SIGINT)
    time.sleep(0.4)  # Two signals at once count as one request.
    flight.process.send(signal.SIGTERM)
    report = flight.report()
    assert report.exit_code == 1
    assert report.states[-1] == "ESTOP"
    flight.robot_enters("estopped")
    check_rotors(stack.rotor)


def test_the_deploy_process_killed(stack: Stack) -> None:
    flight = flying(stack)
    flight.process.send(signal.SIGKILL)
    flight.process.exit_code()
    flight.touches_down()
    assert stack.rotor.read("state")[-1]["cause"] == "no accepted command for 0.2 s"
    check_rotors(stack.rotor)
