"""What a robot offers against what a bundle needs: every difference is found, and named with what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.specs import CommandSpec, SensorSpec
from real.contract.offer import (
    ANGULAR_VELOCITY,
    JOINT_POSITION,
    JOINT_TARGET,
    JOINT_VELOCITY,
    LINEAR_ACCELERATION,
    LINEAR_VELOCITY,
    ORIENTATION,
    POSITION,
    Offer,
    Signal,
    differences,
)

SIGNALS = (POSITION, ORIENTATION, LINEAR_VELOCITY, ANGULAR_VELOCITY, LINEAR_ACCELERATION)
HIP_KNEE = ("hip", "knee")


@given(st.sets(st.sampled_from(SIGNALS)), st.sets(st.sampled_from(SIGNALS)))
def test_what_is_missing_is_exactly_what_is_needed_and_not_offered(needed: set[Signal], offered: set[Signal]) -> None:
    found = differences(Offer(tuple(needed)), Offer(tuple(offered)))
    assert {line.split()[1] for line in found} == {signal.name for signal in needed - offered}
    assert all(line.endswith("is missing") for line in found)


def test_a_signal_is_named_with_its_size_unit_and_frame() -> None:
    assert str(POSITION) == "position [3] (m, world)"
    assert str(JOINT_POSITION) == "joint_position [n] (rad, joint)"
    assert str(Signal("charge", 1, "V", "")) == "charge [1] (V)"


def test_the_signal_of_a_sensor_or_command_is_what_the_manifest_says() -> None:
    sensor = SensorSpec("wheel", 2, "rad", "wheel", -1.0, 1.0, labels=("left", "right"))
    command = CommandSpec("push", 2, "N", -1.0, 1.0, 5.0, ("x", "y"), frame="body")
    assert Signal.of(sensor) == Signal("wheel", 2, "rad", "wheel", ("left", "right"))
    assert Signal.of(command) == Signal("push", 2, "N", "body", ("x", "y"))


def test_one_call_names_everything_that_is_wrong() -> None:
    needed = Offer(
        (replace(POSITION, unit="cm"), Signal("height_scan", 187, "m", "heading, from the base")),
        (Signal("wheel_speed", 2, "rad/s", "", ("left", "right")),),
    )
    offered = Offer((POSITION, ORIENTATION), (Signal("wheel_speed", 2, "rad/s", "", ("right", "left")),))
    assert differences(needed, offered) == [
        "sensor position has unit cm, the robot's is m",
        "sensor height_scan [187] (m, heading, from the base) is missing",
        "command wheel_speed has labels left right, the robot's is right left",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": "km"}, "unit km, the robot's is m"),
        ({"frame": "body"}, "frame body, the robot's is world"),
        ({"dim": 2}, "dim 2, the robot's is 3"),
        ({"dim": 2, "frame": ""}, "frame none, the robot's is world, dim 2, the robot's is 3"),
    ],
)
def test_a_signal_of_the_same_name_must_be_the_same_signal(change: dict[str, object], words: str) -> None:
    assert differences(Offer((replace(POSITION, **change),)), Offer((POSITION,))) == [f"sensor position has {words}"]  # type: ignore[arg-type]
    (found,) = differences(Offer((POSITION,)), Offer((replace(POSITION, frame=""),)))
    assert found == "sensor position has frame world, the robot's is none"


def test_a_driver_that_finds_channels_by_name_takes_any_number_of_named_ones() -> None:
    offered = Offer((JOINT_POSITION, JOINT_VELOCITY), (JOINT_TARGET,))
    named = Offer((replace(JOINT_POSITION, dim=2, labels=HIP_KNEE),), (replace(JOINT_TARGET, dim=2, labels=HIP_KNEE),))
    assert differences(named, offered) == []
    unnamed = Offer((replace(JOINT_POSITION, dim=2),))
    assert differences(unnamed, offered) == [
        "sensor joint_position has no labels, by which the robot finds its channels"
    ]
