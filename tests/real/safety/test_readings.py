"""Which readings pass, and how old they are, on clocks that share no zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import UserError
from policies.specs import SensorSpec
from real.contract.events import Fault
from real.contract.offer import LINEAR_VELOCITY, ORIENTATION, POSITION
from real.contract.robot import RobotReading
from real.safety.readings import ReadingGate
from tests.real.fake_robot import make_manifest

OFFSET = 50.0
"""Host clock minus robot clock, in s."""

DEMANDED = (POSITION, ORIENTATION, LINEAR_VELOCITY)


def gate() -> ReadingGate:
    return ReadingGate(make_manifest().sensors, DEMANDED)


def reading(measured: float, delay: float, sequence: int, **sensors: Any) -> RobotReading:
    """A reading measured at `measured` s on the host's clock that travelled `delay` s."""
    values: dict[str, Any] = {
        "position": np.zeros(3),
        "orientation": np.array([1.0, 0.0, 0.0, 0.0]),
        "linear_velocity": np.zeros(3),
        "angular_velocity": np.zeros(3),
    }
    values.update(sensors)
    return RobotReading(values, measured - OFFSET, measured + delay, sequence)


def cause(fault: Any) -> str | None:
    return None if fault is None else fault.cause


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40))
def test_the_age_misses_the_true_age_by_no_more_than_the_least_delay(delays: list[float]) -> None:
    g = gate()
    for i, delay in enumerate(delays):
        measured = 100.0 + i
        g.admit(reading(measured, delay, i))
        now = measured + delay + 0.003
        true_age = delay + 0.003
        drift = 1e-4 * len(delays)
        assert true_age - min(delays[: i + 1]) - drift - 1e-6 <= g.age(now) <= true_age + 1e-6


def test_a_delay_that_grows_in_flight_is_seen_without_a_common_clock() -> None:
    g = gate()
    for i in range(100):
        assert g.admit(reading(0.005 * i, 0.002, i)) is None
    g.admit(reading(0.5, 0.302, 100))
    assert g.age(0.5 + 0.302) == pytest.approx(0.3, abs=1e-3)


def test_a_robot_clock_that_loses_50_ppm_does_not_age_its_readings() -> None:
    g = gate()
    for i in range(1000):
        t = float(i)
        g.admit(RobotReading(reading(t, 0.0, i).sensors, t * (1.0 - 50e-6), t + 0.002, i))
    assert g.age(t + 0.002) < 0.001


@given(st.permutations(range(12)))
def test_out_of_any_order_only_newer_readings_pass(order: list[int]) -> None:
    g = gate()
    newest = -1
    for i in order:
        fault = g.admit(reading(0.005 * i, 0.002 + 0.2 * (i % 3), i))
        assert cause(fault) == (None if i > newest else "stale_reading")
        newest = max(newest, i)
        assert g.newest is not None
        assert g.newest.sequence == newest


def test_a_stamp_that_goes_back_is_stale_even_if_the_driver_counts_on() -> None:
    g = gate()
    g.admit(reading(1.0, 0.002, 1))
    assert cause(g.admit(reading(0.9, 0.2, 2))) == "stale_reading"


def test_the_same_reading_again_is_no_fault_and_grows_older() -> None:
    g = gate()
    same = reading(1.0, 0.002, 1)
    assert g.admit(same) is None
    assert g.admit(same) is None
    assert g.age(1.052) == pytest.approx(0.05)


def test_a_bad_reading_is_reported_once_however_often_it_is_read() -> None:
    g = gate()
    bad = reading(1.0, 0.002, 1, position=np.array([0.0, np.nan, 0.0]))
    assert cause(g.admit(bad)) == "sensor_not_finite"
    assert g.admit(bad) is None
    assert g.newest is None


@pytest.mark.parametrize(
    ("sensors", "fault"),
    [
        ({"position": np.array([0.0, np.inf, 0.0])}, Fault("sensor_not_finite", detail="position")),
        ({"position": np.array([0.0, 0.0])}, Fault("sensor_malformed", 2, 3, "position")),
        ({"position": np.zeros((3, 1))}, Fault("sensor_malformed", 3, 3, "position")),
        ({"position": [0.0, None, 0.0]}, Fault("sensor_malformed", None, 3, "position")),
        ({"position": None}, Fault("sensor_malformed", None, 3, "position")),
        ({"position": ["1", "2", "3"]}, Fault("sensor_malformed", None, 3, "position")),
        ({"position": [True, False, True]}, Fault("sensor_malformed", None, 3, "position")),
        ({"position": [[0.0], [0.0, 1.0]]}, Fault("sensor_malformed", None, 3, "position")),
        ({"position": np.array([0.0, 0.0, 101.0])}, Fault("sensor_out_of_range", 101.0, 100.0, "position[2]")),
        ({"angular_velocity": [0.0, -51.0, 0.0]}, Fault("sensor_out_of_range", -51.0, -50.0, "angular_velocity[1]")),
        # The channel that is farthest out is named.
        ({"position": [101.0, -103.0, 102.0]}, Fault("sensor_out_of_range", -103.0, -100.0, "position[1]")),
        ({"orientation": np.zeros(4)}, Fault("orientation_norm", 0.0, 1.0)),
        ({"orientation": [0.899, 0.0, 0.0, 0.0]}, Fault("orientation_norm", 0.899, 1.0)),
        ({"orientation": [1.0, 0.0, 0.75, 0.0]}, Fault("orientation_norm", 1.25, 1.0)),
    ],
)
def test_a_bad_sensor_keeps_its_reading_out(sensors: dict[str, Any], fault: Fault) -> None:
    g = gate()
    assert g.admit(reading(1.0, 0.002, 1, **sensors)) == fault
    assert g.newest is None


@pytest.mark.parametrize(
    "sensors",
    [
        {"position": [100.0, -100.0, 0.0]},
        {"position": [1, 2, 3]},
        {"orientation": [0.901, 0.0, 0.0, 0.0]},
        {"orientation": [1.0, 0.0, 0.45, 0.0]},
    ],
)
def test_a_sensor_at_its_limits_is_good(sensors: dict[str, Any]) -> None:
    g = gate()
    assert g.admit(reading(1.0, 0.002, 1, **sensors)) is None
    assert g.newest is not None
    ((name, value),) = sensors.items()
    assert g.newest.sensors[name].dtype == np.float64
    assert g.newest.sensors[name].tolist() == value


def test_only_a_whole_reading_is_kept_and_it_is_the_one_that_was_sent() -> None:
    g = gate()
    sent = reading(1.0, 0.002, 7, position=[1.0, 2.0, 3.0], battery=12.0)
    assert g.admit(None) is None
    assert g.admit(sent) is None
    assert g.newest is not None
    assert (g.newest.stamp, g.newest.received, g.newest.sequence) == (sent.stamp, sent.received, 7)
    # Nothing that nobody asked for passes, since nobody checked it.
    assert set(g.newest.sensors) == {"position", "orientation", "linear_velocity", "angular_velocity"}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_time_that_is_no_number_keeps_its_reading_out(bad: float) -> None:
    whole = reading(1.0, 0.002, 1)
    for stamp, received in ((bad, whole.received), (whole.stamp, bad)):
        g = gate()
        found = g.admit(RobotReading(whole.sensors, stamp, received, 1))
        assert found == Fault("sensor_not_finite", detail="stamp")
        assert g.age(9.0) == np.inf


@pytest.mark.parametrize(
    ("stamp", "received", "sequence", "fault"),
    [
        (1.5, 2.5, 3, Fault("stale_reading", 3, 3, "sequence")),
        (1.5, 2.5, 2, Fault("stale_reading", 2, 3, "sequence")),
        (1.0, 2.5, 4, Fault("stale_reading", 1.0, 1.0, "stamp")),
        (0.5, 2.5, 4, Fault("stale_reading", 0.5, 1.0, "stamp")),
        (2.5, 2.5, 4, None),
        (2.75, 2.5, 4, Fault("stamp_jump", 1.25, 1.0)),
        (9.75, 9.5, 4, Fault("stamp_jump", 1.25, 1.0)),
        (9.5, 9.5, 4, None),
        (1.25, 9.5, 4, None),
    ],
)
def test_a_reading_must_be_newer_and_from_no_future(
    stamp: float, received: float, sequence: int, fault: Fault | None
) -> None:
    g, sensors = gate(), reading(0.0, 0.0, 0).sensors
    assert g.admit(RobotReading(sensors, 1.0, 2.0, 3)) is None
    assert g.admit(RobotReading(sensors, stamp, received, sequence)) == fault
    assert g.newest is not None
    assert g.newest.sequence == (4 if fault is None else 3)


def test_the_period_of_the_readings_is_smoothed_and_counts_those_that_were_lost() -> None:
    g = gate()
    g.admit(reading(1.0, 0.002, 1))
    assert np.isnan(g.reading_period)
    g.admit(reading(1.25, 0.002, 2))
    assert g.reading_period == 0.25
    g.admit(reading(3.25, 0.002, 6))
    assert g.reading_period == pytest.approx(0.95 * 0.25 + 0.05 * 0.5)


def test_a_bundle_and_a_check_that_disagree_about_a_sensor_are_refused() -> None:
    with pytest.raises(UserError, match=r"^sensor position has dim 2, the supervisor needs 3$"):
        ReadingGate([SensorSpec("position", 2, "m", "world", -1.0, 1.0)], DEMANDED)


def test_what_only_a_check_needs_may_have_any_finite_value_of_its_length() -> None:
    for value, fault in (
        ([1e300, -1e300, 0.0], None),
        ([0.0, 0.0], Fault("sensor_malformed", 2, 3, "position")),
        ([0.0, np.nan, 0.0], Fault("sensor_not_finite", detail="position")),
    ):
        g = ReadingGate([], [POSITION])
        assert g.admit(RobotReading({"position": np.array(value)}, 0.0, 0.0, 1)) == fault


@pytest.mark.parametrize("name", ["position", "orientation", "linear_velocity", "angular_velocity"])
def test_a_missing_sensor_keeps_its_reading_out(name: str) -> None:
    whole = reading(1.0, 0.002, 1)
    rest = {key: value for key, value in whole.sensors.items() if key != name}
    fault = gate().admit(RobotReading(rest, whole.stamp, whole.received, 1))
    assert (cause(fault), fault and fault.detail) == ("sensor_missing", name)


def test_the_envelope_gets_its_sensors_even_if_the_policy_reads_none_of_them() -> None:
    manifest = make_manifest()
    g = ReadingGate((s for s in manifest.sensors if s.name == "angular_velocity"), DEMANDED)
    fault = g.admit(RobotReading({"angular_velocity": np.zeros(3)}, 0.0, 0.0, 1))
    assert cause(fault) == "sensor_missing"


def test_a_stamp_from_the_future_does_not_spoil_the_age_of_what_follows() -> None:
    g = gate()
    g.admit(reading(1.0, 0.002, 1))
    whole = reading(1.005, 0.002, 2)
    assert cause(g.admit(RobotReading(whole.sensors, whole.stamp + 60.0, whole.received, 2))) == "stamp_jump"
    assert g.admit(reading(1.01, 0.002, 3)) is None
    assert g.age(1.012) == pytest.approx(0.0, abs=1e-6)


def test_what_passes_is_a_copy_that_the_driver_can_not_change_later() -> None:
    g = gate()
    position = np.zeros(3)
    g.admit(reading(1.0, 0.002, 1, position=position))
    position[:] = np.nan
    assert g.newest is not None
    assert np.isfinite(g.newest.sensors["position"]).all()
