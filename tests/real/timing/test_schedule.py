"""The schedule on a fake clock: no drift, no bursts, and a bounded, converging shift towards the readings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.timing.schedule import PhaseAligner, Schedule
from tests.real.fake_robot import FakeClock

PERIOD = 0.01


class OversleepingClock(FakeClock):
    """A clock whose sleeps take 80 microseconds too long, as an operating system's do."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds + 80e-6)


@given(st.lists(st.floats(0.0, 0.0095), min_size=2, max_size=200))
def test_ticks_stay_on_the_grid_whatever_the_work_takes(work: list[float]) -> None:
    clock = OversleepingClock()
    schedule = Schedule(PERIOD, clock)
    first = schedule.wait().began
    for i, seconds in enumerate(work, start=1):
        clock.sleep(seconds)
        tick = schedule.wait()
        assert tick.due == pytest.approx(first + i * PERIOD, abs=1e-5)
        assert 0.0 <= tick.began - tick.due < 1e-4
    assert schedule.statistics().overruns == 0


@given(st.lists(st.floats(0.0, 0.055), min_size=2, max_size=100))
def test_an_overrun_skips_ticks_and_never_bunches_them(work: list[float]) -> None:
    clock = FakeClock()
    schedule = Schedule(PERIOD, clock)
    ticks = [schedule.wait()]
    for seconds in work:
        clock.sleep(seconds)
        ticks.append(schedule.wait())
    phase = [math.remainder(tick.due - ticks[0].due, PERIOD) for tick in ticks]
    assert np.abs(phase).max() < 1e-9
    assert np.diff([tick.due for tick in ticks]).min() > 0.999 * PERIOD
    statistics = schedule.statistics()
    assert statistics.skipped == sum(tick.skipped for tick in ticks)
    assert statistics.overruns == sum(tick.overrun > 0.0 for tick in ticks)


def test_one_long_tick_is_one_overrun_with_its_length_and_its_skipped_ticks() -> None:
    clock = FakeClock()
    schedule = Schedule(PERIOD, clock)
    schedule.wait()
    clock.sleep(0.035)
    tick = schedule.wait()
    assert tick.skipped == 2
    statistics = schedule.statistics()
    assert (statistics.overruns, statistics.skipped) == (1, 2)
    assert statistics.longest_overrun_ms == pytest.approx(25.0, abs=0.1)
    assert statistics.jitter_max_ms == pytest.approx(25.0, abs=0.1)


def test_statistics_of_a_schedule_that_never_ran_are_zero() -> None:
    statistics = Schedule(PERIOD, FakeClock()).statistics()
    assert (statistics.ticks, statistics.jitter_p99_ms, statistics.overruns) == (0, 0.0, 0)


@pytest.mark.parametrize("period", [0.0, -0.01, math.nan, math.inf])
def test_a_period_must_be_positive_and_finite(period: float) -> None:
    with pytest.raises(ValueError, match="period"):
        Schedule(period, FakeClock())


@pytest.mark.parametrize("start", [0.0, 0.0012, 0.0025, 0.0049])
@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_the_ticks_move_to_just_after_the_readings(start: float, ratio: int) -> None:
    reading_period = PERIOD / ratio
    clock = FakeClock()
    schedule = Schedule(PERIOD, clock)
    aligner = PhaseAligner(margin=0.001)
    arrival = clock.now() - start
    ages = []
    for _ in range(400):
        tick = schedule.wait()
        ages.append((tick.began - arrival) % reading_period)
        schedule.shift(aligner.correction(ages[-1], reading_period))
    assert ages[-1] == pytest.approx(0.001, abs=1e-4)


@pytest.mark.parametrize("start", [0.0, 0.0012, 0.0025, 0.0049])
@pytest.mark.parametrize("ratio", [2, 5])
def test_of_ticks_more_frequent_than_readings_one_moves_to_just_after_each(start: float, ratio: int) -> None:
    period = PERIOD / ratio
    clock = FakeClock()
    schedule = Schedule(period, clock)
    aligner = PhaseAligner(margin=0.001)
    arrival = clock.now() - start
    ages, shifts = [], []
    for _ in range(400 * ratio):
        tick = schedule.wait()
        ages.append((tick.began - arrival) % PERIOD)
        shifts.append(aligner.correction(ages[-1], PERIOD, period))
        schedule.shift(shifts[-1])
    assert min(ages[-ratio:]) == pytest.approx(0.001, abs=1e-4)
    # Once there, the ticks between two readings leave the grid where it is.
    assert max(np.abs(shifts[-ratio:])) < 1e-5


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_no_input_moves_the_grid_by_more_than_the_bound(age: float, reading_period: float) -> None:
    assert abs(PhaseAligner(largest=0.0002).correction(age, reading_period)) <= 0.0002


def test_missing_readings_do_not_move_the_grid() -> None:
    assert PhaseAligner().correction(0.1, 0.005) == 0.0
