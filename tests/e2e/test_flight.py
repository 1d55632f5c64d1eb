"""A flight without faults, as real processes: it holds, follows a step, lands, records, and ends with exit code 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.flight_stack import Stack, check_rotors

pytestmark = pytest.mark.e2e


def test_a_flight_holds_steps_and_lands(stack: Stack, tmp_path: Path) -> None:
    recording = tmp_path / "flight.mcap"
    step = ("--setpoint", "step", "--step-time", "0.5", "--step-offset", "0.2", "0", "0")
    flight = stack.deploy("--duration", "3", *step, "--record", str(recording))
    report = flight.report()
    assert report.exit_code == 0, flight.process.output
    assert report.states == ["READY", "POLICY", "LAND", "IDLE"]
    assert report.values["position_error"]["last_second"] < 0.05
    assert recording.read_bytes().startswith(b"\x89MCAP0")
    assert [record["after"] for record in stack.rotor.read("state")] == ["flying", "landed"]
    check_rotors(stack.rotor)
