"""Specifications refuse impossible values with a message that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from policies.specs import CommandSpec, SensorSpec, StateSpec, expand

_SENSOR: dict[str, Any] = {"name": "gyro", "dim": 3, "unit": "rad/s", "frame": "body", "low": -40.0, "high": 40.0}
_COMMAND: dict[str, Any] = {
    "name": "rotor_speed",
    "dim": 2,
    "unit": "rad/s",
    "low": 0.0,
    "high": (2000.0, 2200.0),
    "rate_limit": 1e5,
    "labels": ("front", "back"),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "angular velocity"}, "identifier"),
        ({"dim": 0}, "dim is 0, expected at least 1"),
        ({"low": (-1.0, -1.0)}, "low has 2 values, expected 1 or 3"),
        ({"low": 40.0}, "every low must be below its high"),
        ({"relative_to": "home"}, "relative_to is 'home', expected '' or 'target'"),
    ],
)
def test_sensor_refuses(change: dict[str, Any], message: str) -> None:
    SensorSpec(**_SENSOR)
    with pytest.raises(ValueError, match=message):
        SensorSpec(**(_SENSOR | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("front",)}, "expected 2 different names"),
        ({"labels": ("front", "front")}, "expected 2 different names"),
        ({"rate_limit": 0.0}, "expected more than 0 rad/s/s"),
        ({"rate_limit": float("nan")}, "expected more than 0 rad/s/s"),
        ({"safe": -1.0}, "safe .* lies outside"),
        ({"safe": (0.0, 2201.0)}, "safe .* lies outside"),
        ({"high": (2000.0, float("nan"))}, "every low must be below its high"),
    ],
)
def test_command_refuses(change: dict[str, Any], message: str) -> None:
    CommandSpec(**_COMMAND)
    with pytest.raises(ValueError, match=message):
        CommandSpec(**(_COMMAND | change))


def test_state_refuses_a_reset_of_another_width() -> None:
    with pytest.raises(ValueError, match="reset has 3 values, expected 1 or 4"):
        StateSpec("memory", 4, (0.0, 0.0, 0.0), between="first")


def test_a_state_says_what_it_becomes_between_two_control_periods() -> None:
    with pytest.raises(ValueError, match="between is 'last', expected 'mean' or 'first'"):
        StateSpec("memory", 4, between="last")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="between"):
        StateSpec("memory", 4)  # type: ignore[call-arg]


def test_one_number_holds_for_every_channel() -> None:
    assert expand(2, 3, "x") == (2.0, 2.0, 2.0)
    assert expand((1.0, 2.0), 2, "x") == (1.0, 2.0)
