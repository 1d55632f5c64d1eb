"""The driver against a real bridge: what it sends, what it refuses to send, and what it leaves behind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from real.bridge.settings import BridgeSettings
from real.contract.robot import LinkDown
from real.robots.flight_wire import FlightWire
from real.robots.rosbridge import RosbridgeRobot, RosbridgeSettings
from real.ros import messages
from real.ros.messages import ActuatorSample, ImuSample, OdometrySample, StatusSample
from tests.real.bridge.bridge_in_thread import BareClient, bridge, make_certificate
from tests.real.fake_robot import make_manifest

pytestmark = pytest.mark.realtime

HOVER = {"rotor_speed": np.full(4, 1500.0)}


class PuppetRobot:
    """Not a robot: sends what the test says, in the test's own clock."""

    def __init__(self, address: str) -> None:
        self.client = BareClient(address)
        for topic, kind in (
            ("/odom", messages.ODOMETRY),
            ("/imu", messages.IMU),
            ("/robot_status", messages.STATUS),
            ("/rotor_command", messages.ACTUATORS),
        ):
            self.client.send({"op": "advertise", "topic": topic, "type": kind})
        for topic, kind in (("/rotor_command", messages.ACTUATORS), ("/robot_stop", messages.STRING)):
            self.client.send({"op": "subscribe", "topic": topic, "type": kind})
        self.client.settle()

    def publish(self, topic: str, message: dict[str, Any]) -> None:
        self.client.send({"op": "publish", "topic": topic, "msg": message})

    def reading(self, stamp: int, spoil: Callable[[dict[str, Any]], None] = lambda message: None) -> None:
        zero = np.zeros(3)
        orientation = np.array([1.0, 0.0, 0.0, 0.0])
        odometry = messages.odometry_message(OdometrySample(stamp, zero, orientation, zero, zero), 2)
        spoil(odometry)
        self.publish("/odom", odometry)
        self.publish("/imu", messages.imu_message(ImuSample(stamp, np.array([1.0, 2.0, 3.0]), zero), orientation, 2))

    def status(self, stamp: int, **values: str) -> None:
        self.publish("/robot_status", messages.status_message(StatusSample(stamp, "holding", values), 2))

    def keep_talking(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.reading(time.time_ns())
            self.status(time.time_ns(), owner="someone", rejected="2")
            time.sleep(0.005)


def flying(settings: RosbridgeSettings) -> RosbridgeRobot:
    """The driver of a flying robot."""
    return RosbridgeRobot(settings, FlightWire, make_manifest())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with bridge(BridgeSettings(port=0)) as found:
        yield found


@pytest.fixture
def robot_and_puppet(address: str) -> Iterator[tuple[RosbridgeRobot, PuppetRobot]]:
    puppet = PuppetRobot(address)
    robot = flying(RosbridgeSettings(url=address))
    done = threading.Event()
    talker = threading.Thread(target=puppet.keep_talking, args=(done,))
    talker.start()
    try:
        robot.connect(5.0)
    finally:
        done.set()
        talker.join()
    puppet.client.settle()
    yield robot, puppet
    robot.close()
    puppet.client.close()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 s"
        time.sleep(0.002)


def test_a_reading_joins_both_messages_and_a_command_echoes_its_stamp(
    robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot],
) -> None:
    robot, puppet = robot_and_puppet
    stamp = time.time_ns()
    puppet.reading(stamp)
    eventually(lambda: (reading := robot.read()) is not None and abs(reading.stamp - stamp * 1e-9) < 1e-6)
    reading = robot.read()
    assert reading is not None
    assert reading.sensors["angular_velocity"].tolist() == [1.0, 2.0, 3.0]
    robot.write(HOVER, reading)
    operation = puppet.client.receive()
    sample = messages.parse_actuators(operation["msg"], 2)
    assert operation["topic"] == "/rotor_command"
    assert abs(sample.stamp - stamp) < 1000
    assert (sample.writer, sample.velocity) == (robot.writer, (1500.0,) * 4)
    robot.write(HOVER, reading)
    assert messages.parse_actuators(puppet.client.receive()["msg"], 2).sequence == sample.sequence + 1


def test_no_command_for_an_old_reading(robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot]) -> None:
    robot, puppet = robot_and_puppet
    reading = robot.read()
    assert reading is not None
    time.sleep(0.12)
    with pytest.raises(LinkDown, match="old"):
        robot.write(HOVER, reading)
    assert puppet.client.settle() == []


def test_status_and_foreign_writers_are_seen(robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot]) -> None:
    robot, puppet = robot_and_puppet
    status = robot.link()
    assert (status.connected, status.owner, status.robot_state, status.rejected) == (True, "someone", "holding", 2)
    puppet.publish("/rotor_command", messages.actuators_message(ActuatorSample(1, "second-writer", 1, (1.0,)), 2))
    puppet.publish("/rotor_command", {"velocity": [1.0]})
    eventually(lambda: robot.link().other_writers == 2)


def test_stop_requests_name_their_writer(robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot]) -> None:
    robot, puppet = robot_and_puppet
    for act, word in ((robot.stop, "stop"), (robot.emergency_stop, "estop"), (robot.arm, "arm")):
        act()
        assert messages.parse_stop(puppet.client.receive()["msg"]) == (robot.writer, word)


@pytest.mark.parametrize("word", ["stop", "estop"])
def test_nothing_leaves_after_a_request_to_stop(
    robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot], word: str
) -> None:
    robot, puppet = robot_and_puppet
    before = robot.read()
    puppet.reading(time.time_ns())
    eventually(lambda: robot.read() is not before)
    reading = robot.read()
    assert reading is not None
    # Hold the driver's own thread, so that the command still waits when the request comes.
    assert robot._link is not None
    go_on = threading.Event()
    robot._link.run(lambda: go_on.wait(5.0))
    robot.write(HOVER, reading)
    (robot.stop if word == "stop" else robot.emergency_stop)()
    with pytest.raises(LinkDown, match="was asked to stop"):
        robot.write(HOVER, reading)
    go_on.set()
    topics = [puppet.client.receive()["topic"], *[operation["topic"] for operation in puppet.client.settle()]]
    assert topics == ["/robot_stop"]


def test_bad_readings_are_dropped_and_counted_by_cause(
    robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot],
) -> None:
    robot, puppet = robot_and_puppet
    before = robot.read()
    assert before is not None

    def nan(message: dict[str, Any]) -> None:
        message["pose"]["pose"]["position"]["x"] = float("nan")

    def not_unit(message: dict[str, Any]) -> None:
        message["pose"]["pose"]["orientation"]["w"] = 0.1

    # One after the other: of two at once the driver asks for the newest only.
    puppet.reading(time.time_ns(), nan)
    eventually(lambda: dict(robot.link().faults) == {"odometry: null": 1})
    puppet.reading(time.time_ns(), not_unit)
    eventually(lambda: dict(robot.link().faults) == {"odometry: null": 1, "odometry: not unit": 1})
    puppet.reading(round(before.stamp * 1e9) - 10**9)
    eventually(lambda: robot.link().faults.get("odometry: out of order") == 1)
    assert robot.read() is before


def test_close_leaves_no_thread_and_a_later_driver_works(
    robot_and_puppet: tuple[RosbridgeRobot, PuppetRobot],
) -> None:
    robot, _ = robot_and_puppet
    robot.close()
    robot.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "roslibpy-asyncio"]
    robot.stop()  # Never raises, whatever the state.
    assert not robot.link().connected


def test_a_missing_bridge_and_a_silent_robot_are_distinguished(address: str) -> None:
    with pytest.raises(ConnectionError, match="robo-rl bridge"):
        flying(RosbridgeSettings(url="ws://127.0.0.1:1")).connect(0.2)
    with pytest.raises(ConnectionError, match=r"/silent/odom.*robo-rl robot"):
        flying(RosbridgeSettings(url=address, namespace="/silent")).connect(0.3)


def test_after_a_reconnect_nothing_old_is_delivered_and_everything_works_again() -> None:
    with bridge(BridgeSettings(port=0)) as first:
        port = int(first.rsplit(":", 1)[1])
        puppet = PuppetRobot(first)
        robot = flying(RosbridgeSettings(url=first))
        done = threading.Event()
        talker = threading.Thread(target=puppet.keep_talking, args=(done,))
        talker.start()
        robot.connect(5.0)
        done.set()
        talker.join()
        puppet.client.close()
    eventually(lambda: not robot.link().connected)
    reading = robot.read()
    assert reading is not None
    for _ in range(50):
        with pytest.raises(LinkDown):
            robot.write(HOVER, reading)
        robot.arm()
    with bridge(BridgeSettings(port=port)) as second:
        puppet = PuppetRobot(second)
        eventually(lambda: robot.link().connected)
        assert puppet.client.settle() == []

        def newer() -> bool:
            puppet.reading(time.time_ns())  # Again and again: the driver may not have subscribed yet.
            newest = robot.read()
            return newest is not None and newest.stamp > reading.stamp

        eventually(newer)
        newest = robot.read()
        assert newest is not None
        robot.write(HOVER, newest)
        assert messages.parse_actuators(puppet.client.receive()["msg"], 2).velocity == (1500.0,) * 4
        robot.close()
        puppet.client.close()


def test_a_token_opens_the_bridge() -> None:
    with bridge(BridgeSettings(port=0, token="secret")) as found:
        with pytest.raises(ConnectionError, match="token"):
            flying(RosbridgeSettings(url=found, token="wrong")).connect(0.3)
        with pytest.raises(ConnectionError, match="connected to"):
            flying(RosbridgeSettings(url=found, token="secret")).connect(0.3)


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", "")  # So that the value set by the driver is undone after the test.
    with bridge(BridgeSettings(port=0, token="t", certificate=str(certificate), key=str(key))) as found:
        trusting = RosbridgeSettings(url=found, token="t", ca_file=str(certificate))
        with pytest.raises(ConnectionError, match="connected to"):
            flying(trusting).connect(0.5)
        monkeypatch.setenv("SSL_CERT_FILE", "")
        with pytest.raises(ConnectionError, match="no connection"):
            flying(RosbridgeSettings(url=found, token="t")).connect(0.3)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://x"},
        {"url": "ws://robot.local:9090", "token": "secret"},
        {"namespace": "cf 1"},
        {"max_age": 0.0},
        {"max_age": 2.0},
        {"pairing_tolerance": 10.0},
        {"ca_file": "/nowhere.pem"},
        {"ros_version": 0},
        {"max_reconnect_delay": 0.01},
    ],
)
def test_bad_settings_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        RosbridgeSettings(**change)


def test_frames_are_json_text() -> None:
    """The parser of the other side is strict: numpy numbers in a command would be dropped without a word."""
    sample = ActuatorSample(1, "w", 1, tuple(np.float64(v) for v in range(4)))
    assert json.loads(json.dumps(messages.actuators_message(sample, 2)))["velocity"] == [0.0, 1.0, 2.0, 3.0]
