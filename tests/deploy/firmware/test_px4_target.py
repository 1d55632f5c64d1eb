"""The target that PX4's trajectory_setpoint gives: frames, axes that are not controlled, ages, reach."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path

import numpy as np
import pytest

from deploy.firmware.build import write_firmware
from tests.deploy.firmware.px4 import NOT, load
from tests.mcu_tools import needs

pytestmark = needs("gcc", "g++")
F3 = ctypes.c_float * 3
REACH = 0.8
"""max_position_error of the stand-in's manifest, m."""
TAKE_OVER = 1_000_000


class Wanted(ctypes.Structure):
    """target_wanted of target.h."""

    _fields_ = (("position", F3), ("velocity", F3), ("time_us", ctypes.c_uint64))


class State(ctypes.Structure):
    """target_state of target.h."""

    _fields_ = (
        ("place", F3),
        ("taken_over_us", ctypes.c_uint64),
        ("moved_us", ctypes.c_uint64),
        ("begun", ctypes.c_bool),
    )


class Vehicle(ctypes.Structure):
    """pilot_vehicle of vehicle.h."""

    _fields_ = (
        ("position", F3),
        ("orientation", ctypes.c_float * 4),
        ("linear_velocity", F3),
        ("angular_velocity", F3),
    )


class Setpoint(ctypes.Structure):
    """pilot_setpoint of vehicle.h."""

    _fields_ = (("position", F3), ("velocity", F3))


class Target:
    """A target that has taken over at `TAKE_OVER` us, with the vehicle at a place of our frame."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library, self.state = library, State()
        self.vehicle = Vehicle(position=F3(0.0, 0.0, 1.0))
        library.target_take_over(ctypes.byref(self.state), ctypes.c_uint64(TAKE_OVER))

    def follow(
        self, position: tuple[float, ...], velocity: tuple[float, ...], now: int, age: int = 0
    ) -> tuple[list[float], list[float]] | None:
        """Position and velocity of the setpoint at `now` us after the take-over; None: there is none."""
        time = TAKE_OVER + now
        wanted, setpoint = Wanted(F3(*position), F3(*velocity), time - age), Setpoint()
        given = self.library.target_follow(
            ctypes.byref(self.state),
            ctypes.byref(wanted),
            ctypes.byref(self.vehicle),
            ctypes.c_uint64(time),
            ctypes.byref(setpoint),
        )
        return (list(setpoint.position), list(setpoint.velocity)) if given else None


@pytest.fixture(scope="module")
def library(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("px4")
    return load(write_firmware(generated, folder / "module", "px4"), "descriptor", folder / "build")


@pytest.fixture
def target(library: ctypes.CDLL) -> Target:
    return Target(library)


def test_positions_and_velocities_are_turned_by_half_a_turn_about_x(target: Target) -> None:
    given = target.follow((1.0, 2.0, 3.0), (0.1, 0.2, 0.3), 0)
    assert given is not None
    assert given[0] == pytest.approx([1.0, -2.0, -3.0])
    assert given[1] == pytest.approx([0.1, -0.2, -0.3])


def test_velocities_move_the_target_from_where_the_vehicle_is(target: Target) -> None:
    target.vehicle.position = F3(5.0, 6.0, 7.0)
    target.follow((NOT,) * 3, (0.5, 0.0, -0.25), 0)
    place, velocity = target.follow((NOT,) * 3, (0.5, 0.0, -0.25), 100_000) or ([], [])
    assert place == pytest.approx([5.05, 6.0, 7.025])
    assert velocity == pytest.approx([0.5, 0.0, 0.25])


def test_the_target_does_not_jump_after_a_gap(target: Target) -> None:
    target.follow((NOT,) * 3, (1.0, 0.0, 0.0), 0)
    place, _ = target.follow((NOT,) * 3, (1.0, 0.0, 0.0), 60_000_000) or ([], [])
    assert place[0] == pytest.approx(0.1)


def test_a_target_that_is_held_keeps_no_velocity(target: Target) -> None:
    target.follow((0.0, 0.0, -1.0), (0.0, 0.0, 0.5), 0)
    assert target.follow((NOT,) * 3, (NOT,) * 3, 10_000) == ([0.0, 0.0, 1.0], [0.0, 0.0, 0.0])


@pytest.mark.parametrize(("age", "holds"), [(500_000, False), (500_001, True)])
def test_an_old_setpoint_moves_nothing(target: Target, age: int, holds: bool) -> None:
    target.follow((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), 0)
    given = target.follow((0.0, 0.0, -1.5), (0.0, 0.0, 0.5), 600_000, age)
    assert given == (([0.0, 0.0, 1.0], [0.0, 0.0, 0.0]) if holds else ([0.0, 0.0, 1.5], [0.0, 0.0, -0.5]))


def test_a_setpoint_may_be_published_while_the_step_runs(target: Target) -> None:
    assert target.follow((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), 0, age=-50) is not None


def test_only_a_setpoint_since_the_take_over_begins(target: Target) -> None:
    assert target.follow((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), 10_000, age=10_001) is None
    assert target.follow((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), 10_000, age=10_000) is not None


def test_for_any_setpoint_the_target_is_finite_and_what_velocities_move_stays_within_reach(target: Target) -> None:
    chaos = np.random.default_rng(3)
    odd = np.array([NOT, math.inf, -math.inf, 0.0, 1.0, -2.0, 1e30])
    assert target.follow((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), 0) is not None
    for step in range(1, 2_000):
        vehicle = chaos.normal(size=3)
        target.vehicle.position = F3(*vehicle)
        position, velocity = chaos.choice(odd, 3), chaos.choice(odd, 3)
        given = target.follow(tuple(position), tuple(velocity), step * 10_000, int(chaos.integers(0, 700_000)))
        assert given is not None
        assert np.isfinite(given).all()
        # An axis whose velocity is followed moves at most to the edge of the reach.
        moved = ~np.isfinite(position) & (np.array(given[1]) != 0.0)
        assert (np.abs(np.array(given[0]) - vehicle)[moved] <= REACH + 1e-5).all()
