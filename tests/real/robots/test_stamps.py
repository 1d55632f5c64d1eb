"""Robots whose stamps make no reading: what the driver says, and what it takes instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from real.bridge.settings import BridgeSettings
from real.robots.legged_wire import LeggedWire
from real.robots.rosbridge import RosbridgeSettings
from real.ros import legged_messages, messages
from real.ros.legged_messages import JointSample
from real.ros.messages import ImuSample, OdometrySample
from tests.real.bridge.bridge_in_thread import bridge
from tests.real.missions.test_walk import leg_manifest
from tests.real.robots.test_rosbridge import PuppetRobot, eventually, flying

ZERO, LEVEL = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with bridge(BridgeSettings(port=0)) as found:
        yield found


@contextmanager
def talking(address: str, late: float = 0.0, stamped: bool = True) -> Iterator[None]:
    """A robot whose IMU's stamps are `late` s behind those of the odometry; or whose stamps are all zero."""
    puppet, stop = PuppetRobot(address), threading.Event()

    def talk() -> None:
        while not stop.is_set():
            now = time.time_ns() if stamped else 0
            imu = ImuSample(now - round(late * 1e9), ZERO, ZERO)
            puppet.publish("/odom", messages.odometry_message(OdometrySample(now, ZERO, LEVEL, ZERO, ZERO), 2))
            puppet.publish("/imu", messages.imu_message(imu, LEVEL, 2))
            puppet.status(now)
            time.sleep(0.005)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        yield
    finally:
        stop.set()
        talker.join()
        puppet.client.close()


@pytest.mark.realtime
def test_stamps_that_never_pair_are_told_apart_from_silence(address: str) -> None:
    both = r"both arrive, but their newest stamps are 1[0-9]{2}\.[0-9] ms apart"
    with talking(address, late=0.13), pytest.raises(ConnectionError, match=both) as caught:
        flying(RosbridgeSettings(url=address)).connect(1.0)
    assert "stamp both by one clock, or give --stamps arrival" in str(caught.value)


@pytest.mark.realtime
def test_zero_stamps_are_named_and_readings_can_be_taken_by_their_arrival(address: str) -> None:
    with talking(address, stamped=False):
        with pytest.raises(ConnectionError, match=r"odometry: zero stamp .* times.*; --stamps arrival"):
            flying(RosbridgeSettings(url=address)).connect(1.0)
        robot = flying(RosbridgeSettings(url=address, stamps="arrival", pairing_tolerance=0.02))
        robot.connect(5.0)
        try:
            first = robot.read()
            assert first is not None
            assert abs(first.stamp - first.received) < 0.05
            eventually(lambda: (newest := robot.read()) is not None and newest.stamp > first.stamp)
            assert robot.link().heartbeat_age < 1.0
        finally:
            robot.close()


def test_joints_that_the_bundle_lacks_may_be_anything() -> None:
    wire = LeggedWire(leg_manifest(), "", 2, 0.0025)
    sample = JointSample(5, ("hip", "arm", "knee"), np.array([0.1, 0.0, -1.0]), np.zeros(3))
    message = legged_messages.joint_state_message(sample, np.zeros(3), 2)
    message["position"][1] = message["velocity"][1] = None
    assert wire.take("/joint_states", message, 0.0) is not None
    attitude = messages.imu_message(ImuSample(5, ZERO, ZERO), LEVEL, 2)
    taken = wire.take("/imu/data", attitude, 0.0)
    assert taken is not None and taken.sensors is not None
    assert taken.sensors["joint_position"].tolist() == [-1.0, 0.1]
    assert all(np.isfinite(value).all() for value in taken.sensors.values())


@pytest.mark.parametrize("change", [{"stamps": "host"}, {"cmd_vel": "Pose"}])
def test_other_settings_are_refused_by_name(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} is .*, expected"):
        RosbridgeSettings(**change)  # type: ignore[arg-type]
