"""The emulated chip in lockstep, with the firmware tests' stand-in policy: states, damage, and the emulator's end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.firmware.build import build_firmware
from real.robots.serial import SerialRobot, SerialSettings
from real.robots.serial_frames import Ask, ChipState, Decoder, Heartbeat, Hello, Info, Request, Setpoint, Status, encode
from real.simulated.mcu_lockstep import LINK_BYTES, Chip, ChipError, Motion
from real.simulated.mcu_port import ChipPort
from real.simulated.mcu_quad import Airframe, Firmware, McuQuad
from real.simulated.mcu_settings import McuQuadSettings
from sim.robots.crazyflie import PARAMETERS
from tests.deploy.firmware import stand_in
from tests.e2e.processes import Child
from tests.mcu_tools import needs_arm, needs_qemu

REST = Motion(np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3), np.zeros(3))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    generated = stand_in.write_generated(folder / "generated", stand_in.manifest())
    return build_firmware(generated, folder / "chip")


@pytest.fixture
def chip(image: Path) -> Iterator[Chip]:
    with Chip(image, boot_id=77) as chip:
        yield chip


@needs_arm
@needs_qemu
def test_the_chip_tells_who_it_is_arms_flies_and_takes_over(chip: Chip) -> None:
    decoder = Decoder()
    answer = chip.exchange(0.0, REST, encode(Hello(), 1) + encode(Request(Ask.ARM), 2))
    sent = [frame.from_chip() for frame in decoder.feed(answer.link)]
    assert answer.state == ChipState.READY
    assert not answer.motor_command.any()
    (info,) = (message for message in sent if isinstance(message, Info))
    assert f"{info.model_word:08x}" == stand_in.SHA256[:8]
    assert all(message.boot_id == 77 for message in sent if isinstance(message, Status))
    answer = chip.exchange(0.01, REST, encode(Setpoint((0.0, 0.0, 0.1), (0.0,) * 3, 0), 3))
    assert answer.state == ChipState.FLYING
    assert answer.motor_command.all()
    # With heartbeats it flies on, and 0.2 s after the last one it takes over.
    for k in range(2, 30):
        answer = chip.exchange(0.01 * k, REST, encode(Heartbeat(10 * k), 2 + k))
    assert answer.state == ChipState.FLYING
    states = [chip.exchange(0.3 + 0.01 * k, REST).state for k in range(25)]
    assert states[18] == ChipState.FLYING
    assert ChipState.FAILSAFE in states[19:22]
    assert decoder.bad == 0


@needs_arm
@needs_qemu
def test_the_same_bytes_give_the_same_flight(image: Path) -> None:
    def flight() -> list[bytes]:
        random = np.random.default_rng(1)
        given = []
        with Chip(image) as chip:
            chip.exchange(0.0, REST, encode(Request(Ask.ARM), 1))
            for k in range(1, 60):
                motion = Motion(random.normal(0.0, 0.05, 3), REST.orientation, *random.normal(0.0, 0.1, (2, 3)))
                link = encode(Setpoint((0.0, 0.0, 0.1), (0.0,) * 3, 0), 1 + k) + random.bytes(9)
                answer = chip.exchange(0.01 * k, motion, link)
                given.append(answer.motor_command.tobytes() + answer.link)
        return given

    assert flight() == flight()


@needs_arm
@needs_qemu
def test_a_sensor_that_is_not_a_number_never_reaches_a_motor(chip: Chip) -> None:
    chip.exchange(0.0, REST, encode(Request(Ask.ARM), 1))
    chip.exchange(0.01, REST, encode(Setpoint((0.0, 0.0, 0.1), (0.0,) * 3, 0), 2))
    broken = Motion(np.array([np.nan, 0.0, 0.0]), REST.orientation, REST.linear_velocity, REST.angular_velocity)
    answers = [chip.exchange(0.02 + 0.01 * k, broken) for k in range(5)]
    assert all(not answer.motor_command.any() and answer.policy_status for answer in answers)
    assert answers[-1].state == ChipState.ESTOPPED


@needs_arm
@needs_qemu
def test_an_emulator_that_dies_is_told_and_leaves_nothing_behind(chip: Chip) -> None:
    chip.exchange(0.0, REST)
    os.kill(chip.pid, signal.SIGKILL)
    with pytest.raises(ChipError, match="the emulated chip ended by signal SIGKILL"):
        chip.exchange(0.01, REST)
    chip.close()
    chip.close()
    assert not Path(f"/proc/{chip.pid}").exists()


@needs_qemu
def test_an_image_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "none.elf").write_bytes(b"nothing")
    with Chip(tmp_path / "none.elf") as chip, pytest.raises(ChipError, match="the emulated chip ended "):
        chip.exchange(0.0, REST)


@needs_arm
@needs_qemu
def test_no_emulator_outlives_a_process_that_is_killed(image: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from real.simulated.mcu_lockstep import Chip\n"
        "chip = Chip(Path(sys.argv[1])); print(chip.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(image)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        emulator = Child(int(process.stdout.readline()))
        assert emulator.alive
        process.kill()
        deadline = time.monotonic() + 10.0
        while emulator.alive:
            assert time.monotonic() < deadline, "the emulator lives on"
            time.sleep(0.01)


def test_a_missing_emulator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ChipError, match="qemu-system-arm is not installed; `make mcu-tools` installs it"):
        Chip(Path("firmware.elf"))


@needs_arm
@needs_qemu
def test_more_bytes_than_an_exchange_carries_are_refused(chip: Chip) -> None:
    with pytest.raises(ValueError, match="carries 512 bytes"):
        chip.exchange(0.0, REST, bytes(LINK_BYTES + 1))


def test_an_airframe_stands_on_the_ground_and_one_held_in_the_air_waits() -> None:
    grounded = Airframe(PARAMETERS["crazyflie-2025"], (0.0, 0.0, 0.0), 0.01)
    held = Airframe(PARAMETERS["crazyflie-2025"], (0.0, 0.0, 1.0), 0.01)
    for _ in range(50):
        grounded.step(np.zeros(4))
        held.step(np.zeros(4))
    assert grounded.on_ground
    assert held.state[2] == 1.0
    held.held = False
    for _ in range(100):
        held.step(np.zeros(4))
    assert held.on_ground, "without its motors it falls onto the floor, and no further"
    assert held.state[2] == 0.0


@needs_arm
@needs_qemu
def test_a_quadrotor_flies_as_fast_as_it_goes_and_leaves_no_emulator(image: Path, tmp_path: Path) -> None:
    settings = McuQuadSettings(port=0, as_fast=True, log=str(tmp_path / "log.jsonl"))
    quad = McuQuad(Firmware(image, 0.01, (0.0,) * 4, (2000.0,) * 4), settings)
    emulator = Child(quad._chip.pid)
    stopped: list[int] = []
    driver = SerialRobot(SerialSettings(port=quad.url), stand_in.manifest())

    def drive() -> None:
        try:
            driver.connect(20.0)
            driver.arm()
            deadline = time.monotonic() + 20.0
            while driver.link().robot_state != "ready" and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            driver.close()
            stopped.append(0)

    host = threading.Thread(target=drive)
    host.start()
    quad.run(stopped, paced=False)
    host.join()
    quad.close()
    states = [line for line in (tmp_path / "log.jsonl").read_text().splitlines() if '"kind":"state"' in line]
    assert '"before":"idle","after":"ready"' in states[0]
    assert not emulator.alive
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(driver._settings.port.rsplit(":", 1)[1])))


def test_the_port_serves_one_host_and_drops_what_nobody_takes() -> None:
    port = ChipPort(0)
    address = ("127.0.0.1", int(port.url.rsplit(":", 1)[1]))
    try:
        with socket.create_connection(address) as host:
            until(port, lambda: _sent(host, port))
            port.give(b"hello")
            assert host.recv(5) == b"hello"
            with socket.create_connection(address) as second:
                until(port, lambda: _is_closed(second, port))
            host.sendall(b"x" * 3000)
            until(port, lambda: len(port.take(10)) == 10)
            host.sendall(b"y" * 5000)
        until(port, lambda: not port.take(LINK_BYTES) and port._host is None)
        port.give(b"to nobody")
    finally:
        port.close()


def _sent(host: socket.socket, port: ChipPort) -> bool:
    host.sendall(b"a")
    return port.take(1) == b"a"


def _is_closed(caller: socket.socket, port: ChipPort) -> bool:
    caller.settimeout(0.01)
    try:
        return caller.recv(1) == b""
    except TimeoutError:
        return False


def until(port: ChipPort, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while True:
        port.listen()
        if condition():
            return
        assert time.monotonic() < deadline
        port.wait(0.01)


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"port": 70000}, "port is 70000"), ({"noise": -1.0}, "noise is -1.0"), ({"start": (0.0, 0.0, -1.0)}, "height")],
)
def test_settings_that_cannot_hold(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        McuQuadSettings(**setting)
