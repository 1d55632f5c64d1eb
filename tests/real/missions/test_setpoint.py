"""Targets: where they start, that their velocity is the slope of their position, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from policies.specs import SensorSpec
from real.contract.goal import Target
from real.contract.robot import RobotReading
from real.control.policy_input import PolicyInput
from real.missions.landing import Landing
from real.missions.setpoint import STOPPING, Descend, Hold, Lissajous, Setpoint, Step
from sim.quadrotor.figures import Targets


@pytest.mark.parametrize("setpoint", [Hold(), Step(1.0), Lissajous(5.5), Lissajous(3.5, 0.5)])
def test_every_setpoint_starts_where_the_flight_starts(setpoint: Setpoint) -> None:
    assert setpoint.at(0.0).position == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


@given(st.floats(1e-5, 30.0), st.floats(1.0, 20.0), st.floats(0.1, 2.0))
def test_the_velocity_of_the_figure_is_the_slope_of_its_position(t: float, interval: float, size: float) -> None:
    figure, h = Lissajous(interval, size), 1e-6
    slope = (figure.at(t + h).position - figure.at(t - h).position) / (2.0 * h)
    assert figure.at(t).velocity == pytest.approx(slope, abs=1e-5)


def test_the_figure_has_the_published_shape_and_period() -> None:
    figure = Lissajous(5.5, 1.0, ramp=2.0)
    # The ramp costs half its own time of the first figure.
    assert figure.at(1.0 + 5.5).position == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    path = np.array([figure.at(1.0 + t).position for t in np.linspace(5.5, 11.0, 2001)])
    assert path.max(axis=0) == pytest.approx([1.0, 0.5, 0.0], abs=1e-5)
    assert path.min(axis=0) == pytest.approx([-1.0, -0.5, 0.0], abs=1e-5)


@pytest.mark.parametrize("interval", [15.0, 5.5, 3.5])
def test_the_figure_is_the_one_that_was_trained(interval: float) -> None:
    period = 0.01
    trained = Targets(1, period, interval=(interval, interval))
    trained.begin(torch.tensor([0]), torch.Generator())
    flown = Lissajous(interval, ramp=2.0)
    for step in range(1000):
        target = flown.at(step * period)
        # Training adds the phase up in steps, which leaves it behind by at most half a period.
        apart = 0.5 * period * np.linalg.norm(target.velocity) * 1.5 + 1e-4
        assert np.linalg.norm(trained.position[0].numpy() - target.position) <= apart
        assert trained.velocity[0].numpy() == pytest.approx(target.velocity, abs=0.05)
        trained.advance(None, None)


def test_the_figure_begins_at_rest() -> None:
    assert Lissajous(3.5).at(0.0).velocity == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    steps = np.diff([Lissajous(3.5).at(0.01 * k).velocity for k in range(300)], axis=0)
    assert np.abs(steps).max() < 0.1  # 10 m/s^2


@given(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(0.0, 20.0))
def test_a_descent_from_a_moving_target_brakes_smoothly(vx: float, vy: float, t: float) -> None:
    descend, h = Descend((1.0, 2.0, 9.0), 0.0, velocity=(vx, vy)), 1e-6
    assert descend.at(0.0).position == pytest.approx([1.0, 2.0, 9.0])
    assert descend.at(0.0).velocity == pytest.approx([vx, vy, -0.3])
    slope = (descend.at(t + h).position - descend.at(t).position) / h
    assert descend.at(t).velocity == pytest.approx(slope, abs=1e-4)
    assert np.abs(descend.at(t).velocity[:2]).max() <= max(abs(vx), abs(vy))
    assert descend.at(30.0).position[:2] == pytest.approx([1.0 + STOPPING * vx, 2.0 + STOPPING * vy], abs=1e-6)


def test_a_step_jumps_once_and_says_how_far() -> None:
    step = Step(2.0, (0.3, 0.0, -0.1))
    assert step.at(1.999).position == pytest.approx([0.0, 0.0, 0.0])
    assert step.at(2.0).position == pytest.approx([0.3, 0.0, -0.1])
    assert step.largest_jump() == pytest.approx(0.3)


@given(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0), st.floats(0.0, 100.0))
def test_a_descent_never_rises_and_never_passes_its_floor(z: float, floor: float, t: float) -> None:
    descend = Descend((1.0, 2.0, z), floor)
    height = descend.at(t).position[2]
    assert min(z, floor) - 1e-9 <= height <= z + 1e-9
    assert descend.at(t + 0.1).position[2] <= height + 1e-9
    assert descend.at(t).velocity[2] in (0.0, -0.3)


@pytest.mark.parametrize("make", [lambda: Step(-1.0), lambda: Lissajous(0.0), lambda: Lissajous(5.5, float("nan"))])
def test_a_setpoint_that_can_not_be_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"must be"):
        make()


def reading(z: float, climb: float) -> RobotReading:
    return RobotReading(
        {"position": np.array([0.0, 0.0, z]), "linear_velocity": np.array([0.0, 0.0, climb])}, 0.0, 0.0, 0
    )


def landed_after(landing: Landing, heights: list[tuple[float, float]]) -> int | None:
    """The index of the first of (height, climb), 10 ms apart, at which the landing is over."""
    return next((i for i, (z, v) in enumerate(heights) if landing.landed(0.01 * i, reading(z, v))), None)


def landing(ground: float = 0.0) -> Landing:
    return Landing(0.0, Target(np.array([0.0, 0.0, 1.0]), np.zeros(3)), ground, 1.0)


def test_a_descent_in_progress_is_no_landing() -> None:
    assert landed_after(landing(), [(1.0 - 0.003 * i, -0.3) for i in range(300)]) is None


def test_a_vehicle_at_rest_on_the_ground_has_landed_after_a_moment() -> None:
    index = landed_after(landing(), [(0.03, 0.0)] * 50)
    assert index is not None
    assert 8 <= index <= 12


def test_a_single_bounce_does_not_end_the_landing() -> None:
    assert landed_after(landing(), [(0.03, 0.0)] * 5 + [(0.2, 0.1)] * 5 + [(0.03, 0.0)] * 5) is None


def test_a_vehicle_that_rests_above_the_assumed_ground_has_landed_once_the_target_is_well_below() -> None:
    index = landed_after(landing(), [(1.0, 0.0)] * 300)
    assert index is not None
    assert index >= 100


def test_a_landing_may_take_longer_from_higher_up_and_not_for_ever() -> None:
    low = Landing(0.0, Target(np.array([0.0, 0.0, 1.0]), np.zeros(3)), 0.0, 1.0)
    high = Landing(0.0, Target(np.array([0.0, 0.0, 10.0]), np.zeros(3)), 0.0, 10.0)
    assert 1.0 / 0.3 < low.longest < high.longest < 60.0
    assert high.timed_out(high.longest + 0.01)
    assert not high.timed_out(high.longest - 0.01)


def sensor(name: str, unit: str, relative_to: str = "") -> SensorSpec:
    return SensorSpec(name, 3, unit, "world", (-9.0,) * 3, (9.0,) * 3, relative_to, ())


def test_a_policy_reads_the_target_or_its_difference_to_the_target() -> None:
    here = RobotReading({"position": np.array([1.0, 2.0, 3.0]), "linear_velocity": np.ones(3)}, 0.0, 0.0, 0)
    target = Target(np.array([0.5, 0.0, 0.0]), np.array([0.0, 0.25, 0.0]))
    relative = PolicyInput((sensor("position", "m", "target"), sensor("linear_velocity", "m/s", "target")))
    assert relative(here, target)["position"] == pytest.approx([0.5, 2.0, 3.0])
    assert relative(here, target)["linear_velocity"] == pytest.approx([1.0, 0.75, 1.0])
    absolute = PolicyInput((sensor("position", "m"), sensor("target_position", "m"), sensor("target_velocity", "m/s")))
    fed = absolute(here, target)
    assert list(fed) == ["position", "target_position", "target_velocity"]
    assert fed["position"] == pytest.approx([1.0, 2.0, 3.0])
    assert fed["target_position"] == pytest.approx(target.position)
    assert fed["target_velocity"] == pytest.approx(target.velocity)


def test_only_lengths_and_velocities_can_be_relative_to_a_target() -> None:
    with pytest.raises(ValueError, match="can't be relative"):
        PolicyInput((sensor("angular_velocity", "rad/s", "target"),))
