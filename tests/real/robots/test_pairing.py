"""Pairing: nothing older after something newer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from real.robots.pairing import Pairing
from real.ros.messages import ImuSample, OdometrySample

MILLISECOND = 1_000_000


def odometry(stamp: int) -> OdometrySample:
    return OdometrySample(stamp, np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3))


def imu(stamp: int) -> ImuSample:
    return ImuSample(stamp, np.zeros(3), np.zeros(3))


@given(st.permutations([(kind, number) for kind in ("odometry", "imu") for number in range(6)]))
def test_pairs_match_and_never_go_back(order: list[tuple[str, int]]) -> None:
    pairing: Pairing[OdometrySample, ImuSample] = Pairing(0.0025)
    stamps = []
    for kind, number in order:
        stamp = number * 5 * MILLISECOND
        pair = pairing.add_main(odometry(stamp)) if kind == "odometry" else pairing.add_imu(imu(stamp))
        if pair is not None:
            assert pair[0].stamp == pair[1].stamp
            stamps.append(pair[0].stamp)
    assert stamps == sorted(set(stamps))


def test_streams_in_order_lose_nothing() -> None:
    pairing: Pairing[OdometrySample, ImuSample] = Pairing(0.0025)
    for number in range(20):
        assert pairing.add_main(odometry(number * 5 * MILLISECOND)) is None
        assert pairing.add_imu(imu(number * 5 * MILLISECOND + MILLISECOND)) is not None


def test_an_imu_that_stopped_makes_no_readings() -> None:
    pairing: Pairing[OdometrySample, ImuSample] = Pairing(0.0025)
    pairing.add_imu(imu(0))
    assert pairing.add_main(odometry(0)) is not None
    assert all(pairing.add_main(odometry(n * 5 * MILLISECOND)) is None for n in range(1, 50))


def test_streams_that_never_pair_say_how_far_they_are_apart() -> None:
    pairing: Pairing[OdometrySample, ImuSample] = Pairing(0.0025)
    silent: float | None = pairing.apart
    assert silent is None
    for number in range(20):
        assert pairing.add_main(odometry((number * 5 + 130) * MILLISECOND)) is None
        assert pairing.add_imu(imu(number * 5 * MILLISECOND)) is None
    apart: float | None = pairing.apart
    assert apart == pytest.approx(0.13)
