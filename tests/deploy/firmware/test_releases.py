"""Each autopilot's README says which releases it is known to fit, how that is known, and what follows for a flight."""

from __future__ import annotations

import re

import pytest

from deploy.firmware.build import HERE
from sim.quadrotor.randomization import FLIGHT_RANDOMIZATION
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import GRAVITY, RotorParameters
from tests.deploy.firmware.apps import HEADERS

FIRMWARE, TRAINED = PARAMETERS["crazyflie-firmware"], PARAMETERS["crazyflie"]


def readme(target: str) -> str:
    return " ".join((HERE / target / "README.md").read_text(encoding="utf-8").split())


def releases(target: str) -> dict[str, str]:
    """The table of releases: the first cell of each row -> the last, which says how it is known."""
    text = (HERE / target / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("|")]
    start = next(i for i, row in enumerate(rows) if row[-1].strip() == "known by")
    table = rows[start + 2 :]
    count = next((i for i, row in enumerate(table) if "20" not in row[-1]), len(table))
    return {row[0].strip(): row[-1].strip() for row in table[:count]}


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("crazyflie", ["2024.10.2 to 2025.09.1", "2025.12.0"]),
        ("px4", ["main of November 2023", "v1.15.0-rc1", "main of August 2025"]),
        ("zephyr", []),
    ],
)
def test_a_table_names_the_releases_and_how_each_is_known(target: str, named: list[str]) -> None:
    table = releases(target)
    assert len(table) >= max(2, len(named) + 1)
    assert set(named) <= set(table)
    for known in table.values():
        assert re.fullmatch(r"(compiled|read), 20\d\d-\d\d(-\d\d)?", known)


def test_the_number_of_our_controller_is_the_enumeration_s() -> None:
    header = (HEADERS / "controller.h").read_text(encoding="utf-8")
    names = re.findall(r"^    (ControllerType\w+),$", header, re.MULTILINE)
    assert f"set it to {names.index('ControllerTypeOot')} " in readme("crazyflie")


def ratio(robot: RotorParameters) -> float:
    """Full thrust over weight."""
    return robot.max_thrust / (robot.mass * GRAVITY)


def test_the_thrust_of_the_readme_is_the_parameter_set_s_and_within_the_range_of_training() -> None:
    text = readme("crazyflie")
    assert f"{FIRMWARE.thrust[2]} N (`THRUST_MAX`" in text
    assert f"At its {FIRMWARE.mass * 1000:.0f} g that is a thrust-to-weight ratio of {ratio(FIRMWARE):.2f}" in text
    assert f"has {TRAINED.thrust[2]:.4f} N and {ratio(TRAINED):.2f}" in text
    low, high = (factor * ratio(TRAINED) for factor in FLIGHT_RANDOMIZATION["dynamics"].parameters["thrust"])
    assert f"with ratios from {low:.2f} to {high:.2f}" in text
    assert low < ratio(FIRMWARE) < high
    ranges = FLIGHT_RANDOMIZATION["dynamics"].parameters
    assert ranges["rise_time"][0] <= FIRMWARE.rise_time <= ranges["rise_time"][1]
    assert ranges["fall_time"][0] <= FIRMWARE.fall_time <= ranges["fall_time"][1]
    torque = FIRMWARE.torque_per_thrust / TRAINED.torque_per_thrust
    assert ranges["torque"][0] <= torque <= ranges["torque"][1]
