"""The emulated chip's serial port: a TCP socket on the loopback address, for one host at a time."""

from __future__ import annotations

import contextlib
import select
import socket
import sys

_BUFFER = 4096


class ChipPort:
    """Bytes from and to the host that is connected. Raises OSError for a port that is taken."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._host: socket.socket | None = None
        self._received = b""

    @property
    def url(self) -> str:
        """What a host opens."""
        return f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    def wait(self, seconds: float) -> bool:
        """Wait until somebody has connected or sent something, for at most `seconds` s; whether that happened."""
        waited = [s for s in (self._server, self._host) if s is not None]
        return bool(select.select(waited, [], [], seconds)[0])

    def listen(self) -> None:
        """Handle what has come."""
        if select.select([self._server], [], [], 0.0)[0]:
            self._admit(self._server.accept()[0])
        if self._host is None or not select.select([self._host], [], [], 0.0)[0]:
            return
        try:
            data = self._host.recv(_BUFFER)
        except OSError:
            data = b""
        if not data:
            self.hang_up()
            return
        # As on a serial port without flow control, bytes that are not read in time are lost, the oldest first.
        self._received = (self._received + data)[-_BUFFER:]

    def take(self, most: int) -> bytes:
        """At most `most` bytes of what the host has sent, the oldest first."""
        data, self._received = self._received[:most], self._received[most:]
        return data

    def give(self, data: bytes) -> None:
        """Send to the host what it can take now; the rest is lost."""
        if self._host is None or not data:
            return
        try:
            self._host.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection to the host; another one may come."""
        host, self._host, self._received = self._host, None, b""
        if host is not None:
            with contextlib.suppress(OSError):
                host.shutdown(socket.SHUT_RDWR)
            host.close()

    def close(self) -> None:
        """End the connection, and accept no other."""
        self.hang_up()
        self._server.close()

    def _admit(self, caller: socket.socket) -> None:
        if self._host is not None:
            caller.close()
            print("robot: a second host was refused; the port takes one at a time", file=sys.stderr, flush=True)
            return
        caller.setblocking(False)
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = caller
