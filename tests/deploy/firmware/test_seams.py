"""The same numbers in C, on the host's side of the link, and in docs/firmware.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.firmware.build import HERE
from real.robots import serial_frames
from real.robots.serial import SerialSettings
from robo_rl.cli.deploy import Arguments as DeployArguments

DOCUMENT = (Path(__file__).parents[3] / "docs" / "firmware.md").read_text(encoding="utf-8")
FAULTS = {
    "WATCHDOG": "WATCHDOG",
    "SENSOR": "BAD_SENSOR",
    "TILT": "TILT",
    "SETPOINT": "SETPOINT_REFUSED",
    "SELFTEST": "SELF_TEST",
    "RATE": "RATE_LIMITED",
    "FENCE": "GEOFENCE",
    "ERROR": "POSITION_ERROR",
    "SPEED": "SPEED",
}
"""The names of the faults in C and on the host."""


def defined(header: str, prefix: str) -> dict[str, int]:
    """The numbers that a header defines under names with `prefix`."""
    text = (HERE / "common" / header).read_text(encoding="utf-8")
    found = re.findall(rf"^#define {prefix}(\w+) (0x[0-9A-F]+|\d+)u\b", text, re.MULTILINE)
    return {name: int(value, 0) for name, value in found}


def test_states_are_the_host_s_and_the_document_s() -> None:
    states = {name: value for name, value in defined("pilot.h", "PILOT_").items() if not name.startswith("FAULT_")}
    assert states == {state.name: state.value for state in serial_frames.ChipState}
    for name, value in states.items():
        assert f"| {value} | {name} |" in DOCUMENT


def test_faults_are_the_host_s_and_the_document_s() -> None:
    faults = {FAULTS[name]: value for name, value in defined("pilot.h", "PILOT_FAULT_").items()}
    assert faults == {fault.name: fault.value for fault in serial_frames.ChipFault}
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \|$", DOCUMENT.partition("## Faults")[2], re.MULTILINE)
    assert sorted(map(int, rows)) == sorted(faults.values())


@pytest.mark.parametrize("message", ["Heartbeat", "Setpoint", "Request", "Hello", "Status", "Odometry", "Info"])
def test_types_of_frames_are_the_host_s_and_the_document_s(message: str) -> None:
    value = defined("link.h", "LINK_")[message.upper()]
    assert value == getattr(serial_frames, message).TYPE
    assert re.search(rf"^\| 0x{value:02X} \| {message.upper()}\b", DOCUMENT, re.MULTILINE)


def test_requests_and_the_version_are_the_host_s() -> None:
    link = defined("link.h", "LINK_")
    assert {ask.name: ask.value for ask in serial_frames.Ask} == {
        name: link[name] for name in ("ARM", "STOP", "EMERGENCY_STOP")
    }
    assert link["VERSION"] == serial_frames.LINK_VERSION
    assert link["BAUD"] == SerialSettings().baud == DeployArguments.baud
    assert link["BODY_MAX"] == serial_frames.MAX_BODY
