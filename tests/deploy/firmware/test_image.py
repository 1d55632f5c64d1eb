"""The images on the emulated STM32F405: lockstep bit for bit the host's build, and the serial link in real time."""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.bundle.reader import load_bundle
from deploy.firmware.build import build_firmware
from real.robots.serial_frames import (
    Ask,
    ChipFault,
    Decoder,
    FromChip,
    Heartbeat,
    Hello,
    Info,
    Odometry,
    Request,
    Setpoint,
    Status,
    encode,
)
from tests.deploy.damage import edit_manifest
from tests.deploy.firmware import stand_in
from tests.deploy.firmware.chaos import messages, noise, shake
from tests.deploy.firmware.chip import (
    ESTOPPED,
    FAILSAFE,
    FLYING,
    HERE,
    IDLE,
    LANDED,
    READY,
    REFUSED,
    Chip,
    emulated_chip,
    host_chip,
    qemu,
)
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu
from tests.real.host_messages import FromHost

pytestmark = [needs_arm, needs_qemu]


def replies(chip: Chip, steps: int) -> list[bytes]:
    """The chip's answers to a session with many faults, byte for byte."""
    chaos = random.Random(11)
    found = []
    for step in range(steps):
        if step % 40 == 0:
            chip.time_us += chaos.choice((0, 3_000, 250_000))
        found.append(chip.step(*messages(chaos), link=noise(chaos)).raw)
        shake(chip, chaos)
    return found


@needs_gcc
def test_the_chip_answers_bit_for_bit_as_the_host_s_build(
    lockstep_image: Path, host_program: Path, tmp_path: Path
) -> None:
    with host_chip(host_program) as host:
        expected = replies(host, 3_000)
    with emulated_chip(lockstep_image, tmp_path) as chip:
        assert replies(chip, 3_000) == expected
    states = {raw[24] for raw in expected}
    assert states >= {IDLE, READY, FLYING, FAILSAFE, ESTOPPED}


def test_a_bundle_on_the_chip_gives_the_commands_of_onnxruntime(bundle: Path, tmp_path: Path) -> None:
    edit_manifest(bundle, lambda document: document["commands"][0].update(rate_limit=1e9))
    image = build_firmware(bundle, tmp_path / "out")
    policy = load_bundle(bundle).policy
    random = np.random.default_rng(3)
    with emulated_chip(image, tmp_path) as chip:
        chip.put(position=(0.0, 0.0, 0.0))
        assert chip.step(Request(Ask.ARM)).state == READY
        for _ in range(100):
            turn = np.array([1.0, 0.0, 0.0, 0.0]) + 0.1 * random.normal(size=4)
            orientation = (turn / np.linalg.norm(turn)).astype(np.float32)
            position = random.uniform(-0.3, 0.3, size=3).astype(np.float32)
            chip.put(position=tuple(position), orientation=tuple(orientation))
            target = np.array([0.25, 0.0, -0.25], np.float32)
            reply = chip.step(Setpoint((0.25, 0.0, -0.25), (0.0, 0.0, 0.0), 0))
            expected = policy.step({"position": position - target, "orientation": orientation})["rotor_speed"]
            assert reply.state == FLYING
            assert np.abs(np.array(reply.command) - expected).max() <= 1e-5 * 2272.6


def test_a_corrupted_weight_in_flash_is_refused(lockstep_image: Path, tmp_path: Path) -> None:
    image = bytearray(lockstep_image.read_bytes())
    weights = struct.pack("<4f", 1000.0, -400.0, -150.0, 12.5)  # Those of the stand-in.
    assert image.count(weights) == 1
    image[image.index(weights) + 9] ^= 0x40
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(image)
    with emulated_chip(damaged, tmp_path) as chip:
        chip.step(Request(Ask.ARM))
        reply = chip.step(HERE)
        assert (reply.state, reply.command) == (REFUSED, (0.0,) * 4)
        assert chip.status is not None
        assert chip.status.faults == ChipFault.SELF_TEST


def test_a_processor_fault_ends_the_run_by_the_fault_handler(tmp_path: Path) -> None:
    crash = ("policy_step(policy_state *state,", "policy_step_unused(policy_state *state,")
    folder = stand_in.write_generated(tmp_path / "crash", stand_in.manifest(), crash)
    broken = (
        "uint32_t policy_step_unused(policy_state *state, const policy_sensors *sensors, policy_commands *commands);\n"
    )
    path = folder / "policy.c"
    path.write_text(
        path.read_text().replace('#include "policy.h"\n', f'#include "policy.h"\n{broken}')
        + "uint32_t policy_step(policy_state *state, const policy_sensors *sensors, policy_commands *commands) {\n"
        "    (void)sensors;\n    (void)commands;\n    state->last[0] = *(volatile float *)(uintptr_t)0xF0000000u;\n"
        "    return POLICY_OK;\n}\n"
    )
    image = build_firmware(folder, tmp_path / "out")
    with emulated_chip(image, tmp_path) as chip:
        chip.step(Request(Ask.ARM))
        with pytest.raises((EOFError, BrokenPipeError)):
            chip.step(HERE)
        assert chip.exit_code() == 70


def test_a_message_of_another_protocol_ends_the_run(lockstep_image: Path, tmp_path: Path) -> None:
    with emulated_chip(lockstep_image, tmp_path) as chip:
        assert chip.step().state == IDLE
        chip.say(b"HTTP")
        assert chip.exit_code() == 2


class Port:
    """The other end of the emulated chip's serial port."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._decoder = Decoder()
        self._sequence = 0
        self._pending: list[FromChip] = []

    def send(self, message: FromHost) -> None:
        self._sequence += 1
        self._stream.sendall(encode(message, self._sequence))

    def until(self, kind: type[FromChip], state: int | None = None, heartbeat: bool = True) -> FromChip:
        """The next message of a kind, of a status with that state, within 20 s; meanwhile the host is alive."""
        deadline, last = time.monotonic() + 20.0, 0.0
        while time.monotonic() < deadline:
            if heartbeat and time.monotonic() - last > 0.05:
                self.send(Heartbeat(0))
                last = time.monotonic()
            while self._pending:
                message = self._pending.pop(0)
                if isinstance(message, kind) and state in (None, getattr(message, "state", None)):
                    return message
            self._pending += [frame.from_chip() for frame in self._decoder.feed(self._stream.recv(4096))]
        raise AssertionError(f"no {kind.__name__} with state {state} within 20 s")


@pytest.fixture
def port(uart_image: Path) -> Iterator[Port]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20.0)
        process = qemu(uart_image, "-serial", f"tcp:127.0.0.1:{server.getsockname()[1]}")
        try:
            stream, _ = server.accept()
            with stream:
                stream.settimeout(20.0)
                yield Port(stream)
        finally:
            process.kill()
            process.wait(10)


def test_the_uart_image_speaks_the_link_in_real_time(port: Port) -> None:
    port.until(Status, IDLE)  # What is sent before the port is open is lost.
    port.send(Hello())
    assert port.until(Info) == Info(0x5CA1AB1E, 3, 10_000, 1)
    port.send(Request(Ask.ARM))
    port.until(Status, READY)
    port.send(Setpoint((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0))
    port.until(Status, FLYING)
    first, second = port.until(Odometry), port.until(Odometry)
    assert isinstance(first, Odometry) and isinstance(second, Odometry)
    assert second.time_us > first.time_us
    assert (second.time_us - first.time_us) % 10_000 == 0
    assert second.orientation == (1.0, 0.0, 0.0, 0.0)
    assert min(second.command) > 0.0
    port.send(Request(Ask.EMERGENCY_STOP))
    port.until(Status, ESTOPPED)


def test_the_uart_image_lands_on_its_own_when_the_host_falls_silent(port: Port) -> None:
    port.until(Status, IDLE)
    port.send(Request(Ask.ARM))
    port.until(Status, READY)
    port.send(Setpoint((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0))
    port.until(Status, FLYING)
    port.until(Status, FAILSAFE, heartbeat=False)
    landed = port.until(Status, LANDED, heartbeat=False)
    assert isinstance(landed, Status)
    assert landed.faults == ChipFault.WATCHDOG


def test_the_images_are_small_and_free_of_heap_double_and_stdio(lockstep_image: Path, uart_image: Path) -> None:
    for image in (lockstep_image, uart_image):
        sizes = subprocess.run(["arm-none-eabi-size", str(image)], capture_output=True, text=True, check=True).stdout
        text, data, bss = (int(word) for word in sizes.splitlines()[1].split()[:3])
        assert text < 9_000
        assert data + bss < 16_384 + 4_096  # The stack and everything else.
        symbols = subprocess.run(["arm-none-eabi-nm", str(image)], capture_output=True, text=True, check=True).stdout
        names = {line.split()[-1] for line in symbols.splitlines()}
        foreign = ("malloc", "_malloc", "_sbrk", "printf", "__aeabi_d", "__aeabi_f2d")
        assert not {name for name in names if name.startswith(foreign)}
        assert (image.parent / "firmware.bin").stat().st_size < 9_000
