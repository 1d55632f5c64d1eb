"""The serial driver against a stand-in chip over a real socket: refusals, heartbeats, ownership, losses, reconnects."""

from __future__ import annotations

import math
import os
import pty
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from real.contract.robot import ESTOPPED, FAILSAFE, NOT_OBEYING, LinkDown, Robot
from real.robots.serial import SerialRobot, SerialSettings, _ChipClock
from real.robots.serial_frames import Ask, ChipState, Heartbeat, Info, Setpoint, encode
from real.robots.serial_link import open_port
from tests.real.fake_robot import make_manifest
from tests.real.host_messages import from_host
from tests.real.serial_chip_stand_in import ChipStandIn

pytestmark = pytest.mark.realtime


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, f"it never came to pass that {what}"
        time.sleep(0.005)


@pytest.fixture
def chip() -> Iterator[ChipStandIn]:
    chip = ChipStandIn(model_word=0)
    yield chip
    chip.close()


@pytest.fixture
def robot(chip: ChipStandIn) -> Iterator[SerialRobot]:
    robot = make(chip)
    robot.connect(10.0)
    yield robot
    robot.close()


def make(chip: ChipStandIn) -> SerialRobot:
    return SerialRobot(SerialSettings(port=chip.url, reconnect_delay=0.05), make_manifest())


def fly(robot: SerialRobot, target: tuple[float, float, float] = (0.1, 0.0, 0.5)) -> None:
    robot.arm()
    eventually(lambda: robot.link().robot_state not in NOT_OBEYING, "the chip is armed")

    def flying() -> bool:
        write(robot, target)
        return robot.link().robot_state == "flying"

    eventually(flying, "the chip flies")


def write(robot: SerialRobot, target: tuple[float, float, float]) -> None:
    reading = robot.read()
    assert reading is not None
    robot.write({"position_target": np.array(target), "velocity_target": np.zeros(3)}, reading)


def as_robot(robot: SerialRobot) -> Robot:
    """The type checker proves here that the driver is a robot."""
    return robot


def test_it_reads_odometry_flies_and_is_obeyed(chip: ChipStandIn, robot: SerialRobot) -> None:
    reading, link = robot.read(), robot.link()
    assert reading is not None
    assert {name: value.shape for name, value in reading.sensors.items()} == {
        "position": (3,), "orientation": (4,), "linear_velocity": (3,), "angular_velocity": (3,), "rotor_speed": (4,),
    }  # fmt: skip
    assert (link.connected, link.boot) == (True, "1234abcd")
    assert link.robot_state in NOT_OBEYING, "an idle chip obeys nobody"
    fly(robot)
    assert robot.link().owner == robot.writer
    assert chip.setpoints[-1].position == pytest.approx((0.1, 0.0, 0.5))
    assert robot.link().faults == {}


def test_readings_go_on_when_the_chips_microseconds_start_anew(chip: ChipStandIn, robot: SerialRobot) -> None:
    first = robot.read()
    assert first is not None
    eventually(lambda: chip.time_us < 1_000_000, "the counter starts anew")
    eventually(lambda: (r := robot.read()) is not None and r.stamp > first.stamp + 0.9, "the stamps go on")


def test_the_chips_clock_is_unwrapped_across_turns_and_bears_reordering() -> None:
    clock = _ChipClock()
    turn = 2**32 * 1e-6
    times = [2**32 - 10, 5, 2**32 - 5, 2**31, 2**32 - 1, 7]
    assert [clock.seconds(t) for t in times] == pytest.approx(
        [turn - 1e-5, turn + 5e-6, turn - 5e-6, 1.5 * turn, 2 * turn - 1e-6, 2 * turn + 7e-6], abs=1e-9
    )


def test_heartbeats_leave_only_while_the_loop_asks(chip: ChipStandIn, robot: SerialRobot) -> None:
    def beats() -> int:
        return sum(isinstance(message, Heartbeat) for message in chip.received)

    eventually(lambda: robot.link() and beats() > 5, "heartbeats flow while the loop asks")
    fly(robot)
    # The loop hangs now: nobody calls the driver, whose thread lives on.
    eventually(lambda: chip.state == ChipState.FAILSAFE, "the chip's watchdog sees that the loop hangs")
    before = beats()
    time.sleep(0.3)
    assert beats() == before
    eventually(lambda: robot.link().robot_state in NOT_OBEYING, "the driver reports it")
    assert robot.link().cause == "watchdog"


@pytest.mark.parametrize(("ask", "request_sent"), [("stop", Ask.STOP), ("emergency_stop", Ask.EMERGENCY_STOP)])
def test_after_a_stop_nothing_leaves_but_stops(
    chip: ChipStandIn, robot: SerialRobot, ask: str, request_sent: Ask
) -> None:
    fly(robot)
    getattr(robot, ask)()
    eventually(lambda: chip.requests[-1] == request_sent, "the request arrives")
    before = len(chip.received)
    with pytest.raises(LinkDown, match="was asked to stop"):
        write(robot, (0.0, 0.0, 0.5))
    robot.arm()
    for _ in range(15):
        robot.link()
        time.sleep(0.01)
    assert len(chip.received) == before
    assert robot.link().robot_state in (FAILSAFE, ESTOPPED)


def test_another_policys_chip_is_refused() -> None:
    chip = ChipStandIn(model_word=0xDEADBEEF)
    try:
        with pytest.raises(ConnectionError, match=r"the chip flies policy deadbeef, the bundle is 00000000 \(fake\)"):
            make(chip).connect(10.0)
        chip.info = Info(0, 3, 10000, 1, link_version=2)
        with pytest.raises(ConnectionError, match="version 2 of the link"):
            make(chip).connect(10.0)
        chip.info, chip.state = Info(0, 3, 10000, 1), ChipState.REFUSED
        with pytest.raises(ConnectionError, match="self-test at boot failed"):
            make(chip).connect(10.0)
    finally:
        chip.close()


def test_a_chip_that_is_exchanged_under_way_gets_no_setpoint_of_ours(chip: ChipStandIn, robot: SerialRobot) -> None:
    fly(robot)
    chip.info, chip.boot = Info(1, 3, 10000, 1), 2
    chip.hang_up()
    eventually(lambda: "reconnected" in robot.link().faults, "the driver connects again")
    eventually(lambda: robot.link().boot == "00000002", "it reports the other boot")
    eventually(lambda: not robot.link().connected, "it does not call another policy's chip connected")
    with pytest.raises(LinkDown, match="has not said that it flies the bundle's policy"):
        write(robot, (0.1, 0.0, 0.5))


def test_nobody_answers() -> None:
    chip = ChipStandIn(model_word=0)
    url, chip.mute = chip.url, True
    try:
        with pytest.raises(ConnectionError, match=r"sent no status and odometry within 0\.4 s"):
            make(chip).connect(0.4)
    finally:
        chip.close()
    gone = SerialRobot(SerialSettings(port=url), make_manifest())
    with pytest.raises(ConnectionError, match=r"no connection to socket://127\.0\.0\.1:"):
        gone.connect(0.4)


def test_ports_that_cannot_be_opened() -> None:
    with pytest.raises(ConnectionError, match="there is no port /dev/ttyNONE0; ports of this machine: "):
        open_port("/dev/ttyNONE0", 115200)
    with pytest.raises(ConnectionError, match="can't be opened as a serial port"):
        open_port(os.devnull, 115200)
    with pytest.raises(ValueError, match="expected one such as /dev/ttyACM0"):
        SerialSettings(port="tcp://127.0.0.1:1")


def test_a_silent_terminal_is_nobody_and_a_full_one_never_blocks() -> None:
    master, slave = pty.openpty()
    try:
        robot = SerialRobot(SerialSettings(port=os.ttyname(slave)), make_manifest())
        with pytest.raises(ConnectionError, match="nobody answers at /dev/"):
            robot.connect(0.3)
        port = open_port(os.ttyname(slave), 115200)
        with pytest.raises(ConnectionError, match="another program has"):
            open_port(os.ttyname(slave), 115200)
        port.close()
    finally:
        os.close(master)
        os.close(slave)


def test_an_unplugged_chip_is_found_again_and_nothing_waits_for_it(chip: ChipStandIn, robot: SerialRobot) -> None:
    fly(robot)
    sent = len(chip.setpoints)
    chip.hang_up()
    eventually(lambda: robot.link().faults.get("reconnected"), "the driver connects again")
    time.sleep(0.1)
    assert len(chip.setpoints) == sent, "what was not sent in time is never sent"
    assert robot.link().connected
    assert robot.link().boot == "1234abcd"


def test_damage_on_the_wire_is_counted_and_survived(chip: ChipStandIn, robot: SerialRobot) -> None:
    random = np.random.default_rng(3)

    def flip(data: bytes) -> bytes:
        spoilt = bytearray(data)
        if random.random() < 0.3:
            spoilt[random.integers(len(spoilt))] ^= 1 << int(random.integers(8))
        return bytes(spoilt)

    chip.garble = flip
    eventually(lambda: robot.link().faults.get("damaged frame", 0) > 5, "damage is counted")
    chip.garble = lambda data: data
    assert robot.link().faults["frames lost"] >= 5
    before = robot.read()
    assert before is not None
    eventually(lambda: (r := robot.read()) is not None and r.sequence > before.sequence, "readings go on")
    assert all(np.isfinite(value).all() for value in before.sensors.values())


def test_a_bad_or_stale_setpoint_is_refused_here(chip: ChipStandIn, robot: SerialRobot) -> None:
    fly(robot)
    reading = robot.read()
    assert reading is not None
    with pytest.raises(LinkDown, match="must be finite"):
        write(robot, (math.nan, 0.0, 0.0))
    time.sleep(0.15)
    sent = len(chip.setpoints)
    with pytest.raises(LinkDown, match="the reading is"):
        robot.write({"position_target": np.zeros(3), "velocity_target": np.zeros(3)}, reading)
    assert len(chip.setpoints) == sent


def test_a_torn_frame_does_not_swallow_the_next() -> None:
    master, slave = pty.openpty()
    try:
        os.set_blocking(master, False)
        from real.robots.serial_link import SerialLink

        link = SerialLink(os.ttyname(slave), 115200, 1.0, lambda: None, lambda m, t: None, lambda: None)
        setpoint = Setpoint((1.0, 2.0, 3.0), (0.0,) * 3, 0)
        size = len(encode(setpoint, 1))
        for _ in range(200_000 // size):
            if not link.send(setpoint):
                break
        else:
            pytest.skip("this terminal takes any number of bytes")
        received = _drain(master)
        eventually(lambda: link.send(setpoint), "there is room again")
        received += _drain(master)
        from real.robots.serial_frames import Decoder

        decoder = Decoder()
        found = decoder.feed(received)
        assert from_host(found[-1]) == setpoint
        assert decoder.bad <= 1
        link.close()
    finally:
        os.close(master)
        os.close(slave)


def _drain(terminal: int) -> bytes:
    time.sleep(0.05)
    received = b""
    while True:
        try:
            received += os.read(terminal, 65536)
        except BlockingIOError:
            return received
        time.sleep(0.01)
