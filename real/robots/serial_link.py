"""One serial port, or a socket in its place: frames out at once or not at all, messages in from a separate thread."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from real.robots.serial_frames import Decoder, FrameError, FromChip, Message, encode

ROUND = 0.02
"""Longest time in s between two calls of `each_round`."""
_FULL_CHUNK = 4096


class SerialLink:
    """Opens `port` when built, and again whenever it is lost. Raises ConnectionError, in one line, when it can't be.

    `on_message(message, received)` and `each_round()` are called from the link's thread, `received` in s of
    time.monotonic(); so is `on_reopen()`, after a lost port was opened again.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        reconnect_delay: float,
        on_reopen: Callable[[], None],
        on_message: Callable[[FromChip, float], None],
        each_round: Callable[[], None],
    ) -> None:
        self._name, self._baud, self._reconnect_delay = port, baud, reconnect_delay
        self._on_reopen, self._on_message, self._each_round = on_reopen, on_message, each_round
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._torn = False
        self._sequence = random.randrange(0x10000)
        self._sent = 0
        self._counts: Counter[str] = Counter()
        self._port: Any = open_port(port, baud)
        self._thread = threading.Thread(target=self._run, name="serial-link", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the port is open; a chip that hangs leaves it True."""
        return self._port is not None

    @property
    def faults(self) -> dict[str, int]:
        """Messages lost on the way to the host, counted by cause."""
        return dict(self._counts)

    def is_ours(self, sequence: int) -> bool:
        """Whether a frame of ours had this number, one of the last 32768."""
        back = (self._sequence - sequence) & 0xFFFF
        return back < min(self._sent, 0x8000)

    def send(self, message: Message) -> bool:
        """Write `message` to the port now; whether all of it was taken. Never waits, and never raises for the port.

        Raises FrameError for a message that must not be sent.
        """
        with self._lock:
            if self._port is None:
                return False
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._sent += 1
            frame = encode(message, self._sequence)
            # A zero ends a torn frame, which would otherwise swallow this one.
            data = b"\0" + frame if self._torn else frame
            try:
                written = os.write(self._port.fileno(), data)
            except BlockingIOError:
                written = 0
            except OSError:
                self._drop()
                return False
            self._torn = self._torn if written == 0 else written < len(data)
            return written == len(data)

    def close(self) -> None:
        """Close the port for good. May be called again."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(2.0)
        with self._lock:
            self._drop()

    def _run(self) -> None:
        decoder, last = Decoder(), None
        while not self._closing.is_set():
            port = self._port
            if port is None:
                decoder, last = Decoder(), None
                self._reopen()
                continue
            data = self._read(port)
            received = time.monotonic()
            before = decoder.bad
            for frame in decoder.feed(data):
                if last is not None and (lost := (frame.sequence - last - 1) & 0xFFFF):
                    self._counts["frames lost"] += lost
                last = frame.sequence
                try:
                    message = frame.from_chip()
                except FrameError:
                    self._counts["unknown frame"] += 1
                    continue
                self._on_message(message, received)
            # The first bad frame is the rest of a frame that was being sent when the port was opened.
            if decoder.bad > before and last is not None:
                self._counts["damaged frame"] += decoder.bad - before
            self._each_round()

    def _read(self, port: Any) -> bytes:
        """The bytes that have come, after waiting for at most a round."""
        try:
            ready, _, _ = select.select([port.fileno()], [], [], ROUND)
            data = os.read(port.fileno(), _FULL_CHUNK) if ready else None
        except BlockingIOError:
            return b""
        except (OSError, ValueError):  # ValueError: closed by the other thread a moment ago.
            data = b""
        if data == b"":
            with self._lock:
                self._drop()
        return data or b""

    def _reopen(self) -> None:
        self._closing.wait(self._reconnect_delay)
        if self._closing.is_set():
            return
        with contextlib.suppress(ConnectionError):
            port = open_port(self._name, self._baud)
            with self._lock:
                self._port, self._torn = port, False
            self._counts["reconnected"] += 1
            self._on_reopen()

    def _drop(self) -> None:
        """Close the port; the caller holds the lock."""
        port, self._port = self._port, None
        if port is not None:
            # pyserial does not close a socket whose other end has closed.
            raw = getattr(port, "_socket", None)
            with contextlib.suppress(OSError):
                port.close()
            if raw is not None:
                raw.close()


def open_port(name: str, baud: int) -> Any:
    """An open, non-blocking port of pyserial's; ConnectionError, in one line, with what to check."""
    import serial

    # Another program that reads the same port would steal bytes; sockets know no such lock.
    exclusive = {} if name.startswith("socket://") else {"exclusive": True}
    try:
        return serial.serial_for_url(name, baudrate=baud, timeout=0, write_timeout=0, **exclusive)
    except (OSError, ValueError) as error:
        raise ConnectionError(_hint(name, error)) from None


def _hint(name: str, error: OSError | ValueError) -> str:
    if name.startswith("socket://"):
        return f"no connection to {name} ({error}); is the robot running there (robo-rl robot mcu-quad)?"
    code = getattr(error, "errno", None)
    if code == errno.ENOENT:
        from serial.tools.list_ports import comports

        there = ", ".join(sorted(port.device for port in comports())) or "none"
        return f"there is no port {name}; ports of this machine: {there}"
    if code in (errno.EACCES, errno.EPERM):
        return f"no permission for {name}; join the group that owns it (often dialout) and log in again"
    if code in (errno.EBUSY, errno.EAGAIN):
        return f"another program has {name} open; close it"
    return f"{name} can't be opened as a serial port ({error})"
