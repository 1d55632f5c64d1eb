"""The bridge as a process: a websocket server around the router, with its limits, TLS and token."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http
import json
import logging
import math
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from itertools import count
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Origin

from policies.errors import UserError
from real.bridge.fragments import FragmentError, Joiner, cut
from real.bridge.outbox import Outbox
from real.bridge.router import LOGGER, Client, Refused, Router
from real.bridge.services import Services
from real.bridge.settings import BridgeSettings
from real.ros.connection import read_token

# A frozen or slow client should have as little as possible in the system's buffers: what waits there can't be replaced
# by a newer reading.
_SOCKET_BUFFER_BYTES = 65536
_WRITE_BUFFER_BYTES = 16384


def serve(settings: BridgeSettings) -> None:
    """Serve until SIGINT or SIGTERM. Prints `bridge ready ws://HOST:PORT` on standard output once it listens.

    Raises:
        UserError: The token or certificate can't be used.
        OSError: The address can't be listened on.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s bridge %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    asyncio.run(_serve(settings))


async def _serve(settings: BridgeSettings) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with running(settings) as address:
        print(f"bridge ready {address}", flush=True)
        await stopped.wait()


@contextlib.asynccontextmanager
async def running(settings: BridgeSettings) -> AsyncIterator[str]:
    """A bridge inside the running event loop; yields its address, with the port that was really taken."""
    bridge = _Bridge(settings)
    server = listen(
        bridge.connection,
        settings.host,
        settings.port,
        ssl=_tls(settings),
        process_request=bridge.admit,
        origins=[None, *(Origin(origin) for origin in settings.allowed_origins)],
        compression=None,  # Deflating small messages costs more time than it saves.
        max_size=settings.max_message_bytes,
        write_limit=_WRITE_BUFFER_BYTES,
    )
    async with server as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        yield f"{'wss' if settings.certificate else 'ws'}://{host}:{port}"


class _Bridge:
    """Connections of one bridge; the router holds their topics and services."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        self._token = read_token(settings.token)
        loop = asyncio.get_running_loop()
        self._router = Router(settings, Services(settings.service_timeout, loop.call_later))
        self._clients = 0
        self._numbers = count(1)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a connection before the websocket handshake, or return None."""
        if self._token:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                LOGGER.warning("refused %s: no or wrong token", _peer(connection))
                return connection.respond(http.HTTPStatus.UNAUTHORIZED, "send Authorization: Bearer TOKEN\n")
        if self._clients >= self._settings.max_clients:
            LOGGER.warning("refused %s: %d clients are connected already", _peer(connection), self._clients)
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def connection(self, connection: ServerConnection) -> None:
        """Serve one client until it disconnects."""
        raw = connection.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        wake = asyncio.Event()
        outbox = Outbox(self._settings.max_backlog)
        name = f"client {next(self._numbers)} ({_peer(connection)})"
        client = Client(name, outbox, wake.set, connection.transport.abort)
        self._clients += 1
        LOGGER.info("%s connected", client.name)
        sender = asyncio.create_task(_send_all(connection, outbox, wake))
        try:
            await self._receive(connection, client)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()
            self._clients -= 1
            self._router.forget(client)
            LOGGER.info("%s disconnected", client.name)

    async def _receive(self, connection: ServerConnection, client: Client) -> None:
        joiner = Joiner(self._settings.max_message_bytes)
        refusals = 0
        async for frame in connection:
            try:
                operation = _decode(frame)
                if operation.get("op") == "fragment":
                    whole = joiner.add(operation)
                    if whole is None:
                        continue
                    operation = _decode(whole)
                self._router.handle(client, operation)
            except (Refused, FragmentError) as error:
                refusals += 1
                # One line for each power of two, so that a client that sends many bad messages does not flood the log.
                if refusals & (refusals - 1) == 0:
                    LOGGER.warning("%s: %s (refusal %d)", client.name, error, refusals)


async def _send_all(connection: ServerConnection, outbox: Outbox, wake: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    numbers = count(1)
    with contextlib.suppress(ConnectionClosed):
        while True:
            wake.clear()
            while (item := outbox.pop(loop.time())) is not None:
                for frame in cut(item[0], item[1], f"fragment:{next(numbers)}"):
                    await connection.send(frame)
            due = outbox.next_due()
            if math.isinf(due):
                await wake.wait()
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), max(due - loop.time(), 0.0))


def _decode(frame: str | bytes) -> Mapping[str, Any]:
    """Parse one frame. JSON as Python reads it: NaN and Infinity pass, as they do in servers written in Python."""
    if isinstance(frame, bytes):
        raise Refused("binary frame; this bridge takes plain JSON only")
    try:
        operation = json.loads(frame)
    except (ValueError, RecursionError):
        raise Refused("frame is not JSON") from None
    if not isinstance(operation, dict):
        raise Refused("frame is not a JSON object")
    return operation


def _tls(settings: BridgeSettings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (ssl.SSLError, OSError) as error:
        raise UserError(f"certificate {settings.certificate} and key {settings.key} can't be used: {error}") from None
    return context


def _peer(connection: ServerConnection) -> str:
    address = connection.remote_address
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unknown address"
