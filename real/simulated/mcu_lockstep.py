"""The firmware on an emulated microcontroller, one control step at a time: sensors and link bytes in, motor commands
and link bytes out. Time passes for the chip only as an exchange says.

docs/firmware.md has the exchange's layout. The emulator is QEMU's netduinoplus2, an STM32F405, which counts
instructions as time; it reaches us through two FIFOs that the firmware opens by semihosting.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EMULATOR = "qemu-system-arm"
LINK_BYTES = 512
"""Most bytes of the serial stream that one exchange carries each way."""
PATIENCE = 10.0
"""Longest time in s that an exchange may take: an emulated step is done in milliseconds."""
_STEP, _EXIT, _REPLY = 0x524C5331, 0x524C5351, 0x524C5343
_SENSORS = struct.Struct("<II13fHH")
_COMMANDS = struct.Struct("<II4fBBH")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

Array = NDArray[np.float64]


class ChipError(RuntimeError):
    """The emulated chip ended, hangs, or sends an invalid answer; in one line."""


@dataclass(frozen=True)
class Motion:
    """What the chip measures: position [3] m, orientation [4] w x y z, linear_velocity [3] m/s in the world frame,
    angular_velocity [3] rad/s in the body frame."""

    position: Array
    orientation: Array
    linear_velocity: Array
    angular_velocity: Array


class Answer(NamedTuple):
    """What the chip gave in one step: its motor commands [4] in the bundle's unit, its state (`ChipState`), the bits of
    policy_step, and what it sends over its serial link."""

    motor_command: Array
    state: int
    policy_status: int
    link: bytes


class Chip:
    """One emulated chip that runs `image`, an ELF file of the "lockstep" link. Raises ChipError when it does not start.

    The emulator ends with `close`, with this process, and with the thread that made it.
    """

    def __init__(self, image: Path, boot_id: int = 1) -> None:
        if shutil.which(EMULATOR) is None:
            raise ChipError(f"{EMULATOR} is not installed; `make mcu-tools` installs it (Debian: qemu-system-arm)")
        self._folder = tempfile.TemporaryDirectory(prefix="robo-rl-chip-")
        folder = Path(self._folder.name)
        for name in ("to_chip", "from_chip"):
            os.mkfifo(folder / name)
        # Opened for both directions, a FIFO neither waits for its other end nor breaks when that is closed.
        self._to = os.open(folder / "to_chip", os.O_RDWR | os.O_NONBLOCK)
        self._from = os.open(folder / "from_chip", os.O_RDONLY | os.O_NONBLOCK)
        self._errors = (folder / "errors").open("w+b")
        arguments = ("to_chip", "from_chip", str(boot_id))
        target = ",".join(("enable=on", "target=native", *(f"arg={word}" for word in arguments)))
        self._process = subprocess.Popen(
            [EMULATOR, "-machine", "netduinoplus2", "-icount", "shift=3,sleep=off", "-semihosting-config", target,
             "-display", "none", "-monitor", "none", "-serial", "none", "-nodefaults", "-kernel", image.resolve()],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self._errors, stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent, start_new_session=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The emulator's process."""
        return self._process.pid

    def exchange(self, seconds: float, motion: Motion, link: bytes = b"") -> Answer:
        """One control step at `seconds` s of the chip's clock, with at most LINK_BYTES bytes from the host.

        Raises ChipError, after which the chip can't be used.
        """
        self.begin(seconds, motion, link)
        return self.finish()

    def begin(self, seconds: float, motion: Motion, link: bytes = b"") -> None:
        """The first half of an exchange, so that several chips may compute at the same time."""
        if len(link) > LINK_BYTES:
            raise ValueError(f"an exchange carries {LINK_BYTES} bytes, got {len(link)}")
        self._time_us = round(seconds * 1e6) & 0xFFFFFFFF
        values = (*motion.position, *motion.orientation, *motion.linear_velocity, *motion.angular_velocity)
        self._write(_SENSORS.pack(_STEP, self._time_us, *values, len(link), 0) + link)

    def finish(self) -> Answer:
        """The second half: the chip's answer."""
        deadline = time.monotonic() + PATIENCE
        magic, time_us, *rest = _COMMANDS.unpack(self._read(_COMMANDS.size, deadline))
        state, policy_status, size = rest[4:]
        if magic != _REPLY or time_us != self._time_us or size > LINK_BYTES:
            raise ChipError(f"the chip answers 0x{magic:08x}, is the image one of `link` lockstep?")
        return Answer(np.array(rest[:4]), state, policy_status, self._read(size, deadline))

    def close(self) -> None:
        """Ask the emulator to end, and kill it if it does not. May be called again."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.write(self._to, struct.pack("<I", _EXIT))
            try:
                self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for descriptor in (self._to, self._from):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._errors.close()
        self._folder.cleanup()

    def __enter__(self) -> Chip:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            whole = os.write(self._to, data) == len(data)
        except BlockingIOError:
            whole = False
        if not whole:
            raise ChipError(f"the chip takes nothing more{self._why()}")

    def _read(self, size: int, deadline: float) -> bytes:
        data = b""
        while len(data) < size:
            rest = deadline - time.monotonic()
            if rest <= 0.0:
                raise ChipError(f"the chip gave no answer within {PATIENCE:g} s{self._why()}")
            ready, _, _ = select.select([self._from], [], [], min(rest, 0.2))
            with contextlib.suppress(BlockingIOError):
                part = os.read(self._from, size - len(data)) if ready else b""
                data += part
                # Before the chip has opened its end, there is nothing to read and nothing wrong.
                if ready and not part:
                    time.sleep(0.001)
            if len(data) < size and self._process.poll() is not None and not self._left():
                raise ChipError(f"the emulated chip ended{self._why()}")
        return data

    def _left(self) -> bool:
        return bool(select.select([self._from], [], [], 0.0)[0]) and self._process.returncode is None

    def _why(self) -> str:
        code = self._process.poll()
        if code is None:
            return ""
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return f" {how}" + (f": {said[-1]}" if said else "")


def _die_with_parent() -> None:
    """Runs in the emulator's process before it starts: a SIGKILL of this process kills it, too."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
