"""A stand-in for the chip behind a serial port: the link's states over a real TCP socket, and a point that drifts to
its setpoint. It is no model of a vehicle or of the firmware."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

import numpy as np

from real.robots.serial_frames import (
    Ask,
    ChipFault,
    ChipState,
    Decoder,
    FrameError,
    Hello,
    Info,
    Message,
    Odometry,
    Request,
    Setpoint,
    Status,
    encode,
)  # fmt: skip
from tests.real.host_messages import from_host

WATCHDOG = 0.2
TICK = 0.01


class ChipStandIn:
    """Serves one host at a time at `url`. Tests set its attributes while it runs."""

    def __init__(self, model_word: int, command: tuple[float, ...] = (0.0,) * 4) -> None:
        self.info = Info(model_word, 3, 10000, 1)
        self.state = ChipState.IDLE
        self.faults = 0
        self.boot = 0x1234ABCD
        self.position = np.zeros(3)
        self.target = np.zeros(3)
        self.velocity = np.zeros(3)
        self.setpoints: list[Setpoint] = []
        self.requests: list[Ask] = []
        self.received: list[Message] = []
        self.command = command
        self.mute = False
        self._begun = time.monotonic()
        self.garble: Callable[[bytes], bytes] = lambda data: data
        self._sequence = 0
        self._last = 0
        self._decoder = Decoder()
        self._heard_at = -1e9
        self._server = socket.create_server(("127.0.0.1", 0))
        self._host: socket.socket | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    @property
    def time_us(self) -> int:
        """Its clock: begins a second before the counter starts anew."""
        return (0xFFFFFFFF - 1_000_000 + round((time.monotonic() - self._begun) * 1e6)) & 0xFFFFFFFF

    def hang_up(self) -> None:
        """Cut the connection, as an unplugged cable does."""
        host, self._host = self._host, None
        if host is not None:
            with contextlib.suppress(OSError):
                host.shutdown(socket.SHUT_RDWR)
            host.close()

    def close(self) -> None:
        self._end.set()
        self._thread.join(5.0)
        self.hang_up()
        self._server.close()

    def _run(self) -> None:
        tick = 0
        while not self._end.is_set():
            tick += 1
            due = time.monotonic() + TICK
            while (rest := due - time.monotonic()) > 0.0:
                self._listen(rest)
            self._fly()
            if self.mute:
                continue
            p, v = (tuple(float(x) for x in value) for value in (self.position, self.velocity))
            self._tell(Odometry(self.time_us, p, (1.0, 0.0, 0.0, 0.0), v, (0.0,) * 3, self.command))  # type: ignore[arg-type]
            if tick % 5 == 0:
                silence = min(int((time.monotonic() - self._heard_at) * 1e3), 0xFFFF)
                status = Status(self.state, 0, self.faults, self.boot, self.time_us, self._last, 0, 0, silence)
                self._tell(status)

    def _listen(self, seconds: float) -> None:
        waited = [s for s in (self._server, self._host) if s is not None]
        try:
            ready = select.select(waited, [], [], seconds)[0]
            if self._server in ready:
                self.hang_up()
                self._host = self._server.accept()[0]
            elif self._host is not None and self._host in ready:
                self._take(self._host.recv(4096))
        except (OSError, ValueError):
            self.hang_up()

    def _take(self, data: bytes) -> None:
        if not data:
            self.hang_up()
        for frame in self._decoder.feed(data):
            with contextlib.suppress(FrameError):
                message = from_host(frame)
                self._last, self._heard_at = frame.sequence, time.monotonic()
                self.received.append(message)
                self._obey(message)

    def _obey(self, message: Message) -> None:
        if isinstance(message, Hello):
            self._tell(self.info)
        elif isinstance(message, Setpoint):
            self.setpoints.append(message)
            if self.state in (ChipState.READY, ChipState.FLYING):
                self.state, self.target = ChipState.FLYING, np.array(message.position)
        elif isinstance(message, Request):
            self.requests.append(message.what)
            if message.what == Ask.ARM and self.state != ChipState.FLYING:
                self.state, self.faults = ChipState.READY, 0
            elif message.what == Ask.STOP:
                self.state = ChipState.FAILSAFE if self.position[2] > 0.02 else ChipState.LANDED
            elif message.what == Ask.EMERGENCY_STOP:
                self.state = ChipState.ESTOPPED

    def _fly(self) -> None:
        if self.state == ChipState.FLYING and time.monotonic() - self._heard_at > WATCHDOG:
            self.state, self.faults = ChipState.FAILSAFE, ChipFault.WATCHDOG
        self.velocity = np.zeros(3)
        if self.state == ChipState.FLYING:
            self.velocity = np.clip(8.0 * (self.target - self.position), -1.0, 1.0)
        elif self.state == ChipState.FAILSAFE:
            self.velocity = np.array([0.0, 0.0, -0.3])
        self.position = self.position + TICK * self.velocity
        if self.position[2] <= 0.0 and self.state == ChipState.FAILSAFE:
            self.state = ChipState.LANDED
        self.position[2] = max(self.position[2], 0.0)

    def _tell(self, message: Message) -> None:
        self._sequence += 1
        if self._host is not None:
            with contextlib.suppress(OSError):
                self._host.sendall(self.garble(encode(message, self._sequence)))
