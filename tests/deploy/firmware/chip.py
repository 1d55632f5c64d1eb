"""The lockstep firmware as a test drives it: on this machine under sanitizers, or on the emulated chip."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from deploy.firmware.build import WARNINGS, policy_in_c, target_files
from real.robots.serial_frames import Decoder, FromChip, Setpoint, Status, encode
from tests.real.host_messages import FromHost

BOOT = 77
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
STEP, REPLY = struct.Struct("<II13fHH"), struct.Struct("<II4fBBH")
IDLE, READY, FLYING, FAILSAFE, LANDED, ESTOPPED, REFUSED = range(7)
HERE = Setpoint((0.0, 0.0, 1.0), (0.0, 0.0, 0.0), 0)
"""Where a `Vehicle` begins."""


@dataclass(frozen=True)
class Vehicle:
    """At rest, upright, 1 m above the world's origin."""

    position: tuple[float, float, float] = (0.0, 0.0, 1.0)
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    linear_velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    angular_velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Reply:
    """What came back: `raw` as it came, and the messages decoded from the link."""

    time_us: int
    command: tuple[float, ...]
    state: int
    policy_status: int
    messages: tuple[FromChip, ...]
    raw: bytes


class Chip:
    """A pilot in a process, behind a stream of exchanges. Its time goes on by `step_us` with every step."""

    def __init__(
        self, process: subprocess.Popen[bytes], to_chip: IO[bytes], from_chip: IO[bytes], step_us: int = 10_000
    ) -> None:
        self._process, self._to, self._from = process, to_chip, from_chip
        self._step_us = step_us
        self._ended = False
        self._decoder = Decoder()
        self.time_us = 0
        self.sequence = 0
        self.vehicle = Vehicle()
        self.status: Status | None = None
        """The newest one."""

    def step(self, *messages: FromHost, link: bytes = b"") -> Reply:
        """One step with `messages` from the host, then the bytes `link`."""
        stream = b"".join(self.frame(message) for message in messages) + link
        vehicle = self.vehicle
        values = (*vehicle.position, *vehicle.orientation, *vehicle.linear_velocity, *vehicle.angular_velocity)
        self._to.write(STEP.pack(0x524C5331, self.time_us, *values, len(stream), 0) + stream)
        self._to.flush()
        self.time_us = (self.time_us + self._step_us) % 2**32
        return self._reply()

    def frame(self, message: FromHost) -> bytes:
        """`message` on the wire, with the next sequence number."""
        self.sequence = (self.sequence + 1) % 2**16
        return encode(message, self.sequence)

    def put(self, **changes: tuple[float, ...]) -> None:
        """Change the vehicle's state."""
        self.vehicle = replace(self.vehicle, **changes)  # type: ignore[arg-type]

    def say(self, data: bytes) -> None:
        """Anything at all in place of an exchange."""
        self._to.write(data)
        self._to.flush()

    def exit_code(self) -> int:
        """What the process ends with by itself, within 20 s."""
        self._ended = True
        return self._process.wait(20)

    def end(self) -> None:
        """Ask the firmware to exit, which it must without complaint, unless it has ended and a test has seen how."""
        if not self._ended:
            self.say(struct.pack("<I", 0x524C5351))
            assert self.exit_code() == 0

    def _reply(self) -> Reply:
        header = self._exactly(REPLY.size)
        magic, time_us, *command, state, policy_status, count = REPLY.unpack(header)
        assert magic == 0x524C5343
        link = self._exactly(count)
        messages = tuple(frame.from_chip() for frame in self._decoder.feed(link))
        for message in messages:
            self.status = message if isinstance(message, Status) else self.status
        return Reply(time_us, tuple(command), state, policy_status, messages, header + link)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._from.read(count - len(data))
            if not part:
                raise EOFError(f"the chip fell silent after {len(data)} of {count} bytes")
            data += part
        return data


def compile_host(generated: Path, out: Path, compiler: str = "gcc", flags: tuple[str, ...] = SANITIZERS) -> Path:
    """The lockstep firmware of a generated folder as a program of this machine, in the folder `out`."""
    for name, data in target_files(policy_in_c(generated), "stm32f405").items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    names = ("policy", "policy_selftest", "link", "guard", "descent", "pilot", "exchange")
    sources = [f"{out}/src/{name}.c" for name in names] + [str(Path(__file__).parent / "exchange_host.c")]
    program = out / f"host-{compiler}"
    subprocess.run([compiler, *WARNINGS, *flags, f"-I{out}/src", *sources, "-o", str(program)], check=True)
    return program


@contextmanager
def host_chip(program: Path) -> Iterator[Chip]:
    """Run the host's build; at the end it must exit as it was asked to, which says that no sanitizer spoke."""
    process = subprocess.Popen([str(program), str(BOOT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        chip = Chip(process, process.stdin, process.stdout)
        yield chip
        chip.end()
    finally:
        process.kill()
        process.wait(10)
        process.stdin.close()
        process.stdout.close()


def qemu(image: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the emulated chip."""
    command = ["qemu-system-arm", "-M", "netduinoplus2", "-nographic", "-monitor", "none", "-kernel", str(image)]
    return subprocess.Popen([*command, *arguments], stdin=subprocess.DEVNULL)


@contextmanager
def emulated_chip(image: Path, scratch: Path) -> Iterator[Chip]:
    """Run the image on the emulated chip in lockstep; at the end it must exit as it was asked to."""
    names = [str(scratch / name) for name in ("to_chip", "from_chip")]
    for name in names:
        os.mkfifo(name)
    target = ",".join(("enable=on,target=native", *(f"arg={word}" for word in (*names, str(BOOT)))))
    process = qemu(image, "-serial", "none", "-icount", "shift=3,sleep=off", "-semihosting-config", target)
    try:
        with open(names[0], "wb", buffering=0) as to_chip, open(names[1], "rb") as from_chip:
            chip = Chip(process, to_chip, from_chip)
            yield chip
            chip.end()
    finally:
        process.kill()
        process.wait(10)
