"""A fault proxy: stands between a client and the bridge, passes everything on, and spoils what a test names.

It acts on the messages that the bridge publishes to the client, and on those that the client publishes, topic by topic.
It is a tool of tests and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import WebSocketException

Fault = Callable[[Any], Iterable[tuple[float, Any]]]
"""Turns one message into what is delivered instead: pairs of a delay in s and a message; none for a lost one."""


def drop(message: Any) -> Iterable[tuple[float, Any]]:
    """Lose the message."""
    return ()


def delay(seconds: float, spread: float = 0.0, seed: int = 0) -> Fault:
    """Deliver late, by a time drawn from `seconds` +- `spread`: with a spread beyond their distance, out of order."""
    draw = random.Random(seed)

    def late(message: Any) -> Iterable[tuple[float, Any]]:
        return ((seconds + draw.uniform(-spread, spread), message),)

    return late


def spoil(*path: str | int, value: Any) -> Fault:
    """Put `value` where `path` leads to in the message."""

    def spoiled(message: Any) -> Iterable[tuple[float, Any]]:
        place = message = json.loads(json.dumps(message))
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return ((0.0, message),)

    return spoiled


class FaultProxy:
    """Listens on a free port of the loopback address and forwards to `target`.

    `faults` acts on what comes from the bridge, `upward_faults` on what goes to it; both may change at any time.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.faults: dict[str, Fault] = {}
        self.upward_faults: dict[str, Fault] = {}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()
        self.url = ""
        self._thread = threading.Thread(target=self._run, name="fault-proxy")
        self._thread.start()
        if not self._ready.wait(5.0):
            raise RuntimeError("the fault proxy did not start")

    def close(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with serve(self._client, "127.0.0.1", 0, compression=None) as server:
            self.url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            self._ready.set()
            await self._stop.wait()
            for task in self._late:
                task.cancel()

    async def _client(self, client: ServerConnection) -> None:
        # A bridge that is gone ends the client's connection too, as it would without a proxy.
        with contextlib.suppress(OSError, WebSocketException):
            async with connect(self._target, compression=None) as bridge:
                up = asyncio.create_task(self._upwards(client, bridge))
                try:
                    async for frame in bridge:
                        await self._forward(client, frame, self.faults)
                finally:
                    up.cancel()

    async def _upwards(self, client: Connection, bridge: Connection) -> None:
        with contextlib.suppress(WebSocketException):
            async for frame in client:
                await self._forward(bridge, frame, self.upward_faults)
        await bridge.close()

    async def _forward(self, to: Connection, frame: str | bytes, faults: Mapping[str, Fault]) -> None:
        operation = json.loads(frame)
        fault = faults.get(operation.get("topic", ""))
        if operation.get("op") != "publish" or fault is None:
            await to.send(frame)
            return
        for seconds, message in fault(operation["msg"]):
            task = asyncio.create_task(self._deliver(to, seconds, json.dumps({**operation, "msg": message})))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _deliver(self, to: Connection, seconds: float, frame: str) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(WebSocketException):
            await to.send(frame)
