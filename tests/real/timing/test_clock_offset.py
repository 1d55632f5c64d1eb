"""Ages: delay is seen without a common clock."""

from __future__ import annotations

import math

from real.timing.clock_offset import ClockOffset


def test_age_counts_delay_whatever_the_clocks_say() -> None:
    offset = ClockOffset()
    assert offset.age(0.0, 0.0) == math.inf
    for number in range(100):
        offset.observe(1e9 + 0.005 * number, 50.0 + 0.005 * number + 0.002)
    assert math.isclose(offset.age(1e9 + 0.5, 50.502), 0.0, abs_tol=1e-6)
    offset.observe(1e9 + 0.505, 50.505 + 0.3)
    assert math.isclose(offset.age(1e9 + 0.505, 50.505 + 0.3), 0.298, abs_tol=1e-3)


def test_age_follows_a_clock_that_drifts() -> None:
    offset = ClockOffset()
    drift = 1.0 - 5e-5
    for second in range(3600):
        offset.observe(second * drift, float(second))
    assert abs(offset.age(3599 * drift, 3599.0)) < 1e-3
