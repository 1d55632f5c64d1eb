"""A robot's own connection to a bridge: a small client beside roslibpy, in a separate thread.

It keeps only the newest message of a topic, so that a bridge that was frozen gets no old readings.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from real.ros.connection import read_token

_SOCKET_BUFFER_BYTES = 16384
_WRITE_BUFFER_BYTES = 4096
_RETRY_DELAY = 0.2  # s


class BridgeClient:
    """Publishes on `advertised` and listens to `subscribed` topics, each name -> type as the ROS version spells it.

    `on_first_connection` is called once, from the link's thread.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str,
        advertised: Mapping[str, str],
        subscribed: Mapping[str, str],
        on_first_connection: Callable[[], None],
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {read_token(token)}"} if token else {}
        self._tls = ssl.create_default_context(cafile=ca_file or None) if url.startswith("wss://") else None
        self._advertised = advertised
        self._subscribed = subscribed
        self._on_first_connection: Callable[[], None] | None = on_first_connection
        self._arrival = threading.Event()
        self._arrived: deque[tuple[str, Any]] = deque(maxlen=1000)
        self._waiting: dict[str, Mapping[str, Any]] = {}
        self._connected = False
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._task = self._loop.create_task(self._stay_connected())
        self._thread = threading.Thread(target=self._run, name="robot-link", daemon=True)
        self._thread.start()

    def publish(self, messages: Mapping[str, Mapping[str, Any]]) -> None:
        """Send one message each on some topics, in order; what waits for the same topic is replaced. Any thread."""
        if self._connected:
            with contextlib.suppress(RuntimeError):  # The loop may just have been closed.
                self._loop.call_soon_threadsafe(self._put, messages)

    def wait(self, seconds: float) -> bool:
        """Wait until something has come since the last `take`, for at most `seconds` s; whether it has."""
        return self._arrival.wait(seconds)

    def take(self) -> list[tuple[str, Any]]:
        """Topic and message of everything that came since the last call."""
        self._arrival.clear()
        taken = []
        while self._arrived:
            taken.append(self._arrived.popleft())
        return taken

    def close(self) -> None:
        """Drop the connection and end the thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(2.0)

    def _put(self, messages: Mapping[str, Mapping[str, Any]]) -> None:
        self._waiting.update(messages)
        self._wake.set()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _stay_connected(self) -> None:
        reported = False
        while True:
            try:
                async with connect(
                    self._url,
                    additional_headers=self._headers,
                    ssl=self._tls,
                    compression=None,
                    open_timeout=2.0,
                    close_timeout=0.2,
                    write_limit=_WRITE_BUFFER_BYTES,
                ) as connection:
                    reported = False
                    await self._serve(connection)
            except (OSError, WebSocketException, TimeoutError) as error:
                if not reported:
                    print(f"robot: no connection to {self._url} ({error}); trying again", file=sys.stderr, flush=True)
                    reported = True
            finally:
                self._connected = False
            await asyncio.sleep(_RETRY_DELAY)

    async def _serve(self, connection: ClientConnection) -> None:
        raw = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        for topic, kind in self._advertised.items():
            await connection.send(json.dumps({"op": "advertise", "topic": topic, "type": kind}))
        for topic, kind in self._subscribed.items():
            request = {"op": "subscribe", "topic": topic, "type": kind, "queue_length": 10}
            await connection.send(json.dumps(request))
        self._waiting.clear()
        self._connected = True
        if self._on_first_connection is not None:
            self._on_first_connection()
            self._on_first_connection = None
        sender = asyncio.create_task(self._send(connection))
        try:
            async for frame in connection:
                with contextlib.suppress(ValueError, KeyError, TypeError):  # No frame may end the link.
                    operation = json.loads(frame)
                    if operation["op"] == "publish":
                        self._arrived.append((operation["topic"], operation["msg"]))
                        self._arrival.set()
        finally:
            sender.cancel()

    async def _send(self, connection: ClientConnection) -> None:
        with contextlib.suppress(WebSocketException):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    topic = next(iter(self._waiting))
                    message = self._waiting.pop(topic)
                    await connection.send(json.dumps({"op": "publish", "topic": topic, "msg": message}))
