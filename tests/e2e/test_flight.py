"""A flight without faults, as real processes: it holds, follows a step, lands, records, and ends with exit code 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.controller_policy import export_controller
from tests.e2e.flight_stack import Stack, check_rotors

pytestmark = [pytest.mark.e2e, pytest.mark.realtime]


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


def test_a_tracking_bundle_with_its_own_states_follows_a_figure(stack: Stack, tmp_path: Path) -> None:
    bundle = tmp_path / "tracker"
    export_controller(bundle, "crazyflie-track")
    figure = ("--setpoint", "lissajous", "--figure-period", "5.5", "--figure-size", "0.8")
    # The landing begins at full speed, where the figure crosses itself: 1 s of ramp counts half, then one figure.
    report = stack.deploy("--duration", "6.5", *figure, bundle=bundle).report()
    assert report.exit_code == 0, report.output
    assert report.states == ["READY", "POLICY", "LAND", "IDLE"]
    assert report.values["position_error"]["max"] < 0.4
    xs = [record["position"][0] for record in stack.rotor.read("applied") if record["source"] == "policy"]
    assert max(xs) > 0.5
    assert min(xs) < -0.5
    check_rotors(stack.rotor)
