"""A bridge in a thread of the test's own process, and a bare client that speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from real.bridge.server import running
from real.bridge.settings import BridgeSettings


@contextlib.contextmanager
def bridge(settings: BridgeSettings) -> Iterator[str]:
    """Run a bridge; yields its address."""
    ready = threading.Event()
    found: list[str] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with running(settings) as address:
            found.append(address)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(5.0)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10.0)
        loop.close()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key; skips the test where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
               "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
               "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def trusting(certificate: Path) -> ssl.SSLContext:
    """For a `BareClient` of a bridge with that certificate.

    TLS 1.2, because websockets' synchronous client reads and writes from two threads, which OpenSSL does not allow. In
    TLS 1.3 the first read handles session tickets while the request is written, and of 3000 requests 34 were lost. The
    asynchronous clients and servers in real/ use one thread.
    """
    context = ssl.create_default_context(cafile=str(certificate))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class BareClient:
    """Sends and receives operations; nothing is hidden."""

    def __init__(self, address: str, **options: Any) -> None:
        self._stack = contextlib.ExitStack()
        self.connection: Connection = self._stack.enter_context(connect(address, compression=None, **options))

    def send(self, operation: Any) -> None:
        self.connection.send(operation if isinstance(operation, str) else json.dumps(operation))

    def receive(self, timeout: float = 2.0) -> Any:
        return json.loads(self.connection.recv(timeout))

    def settle(self) -> list[Any]:
        """Everything that arrives up to the answer of a call that must fail: a way to wait without a clock."""
        self.send({"op": "call_service", "service": "/nobody", "id": "settle"})
        arrived = []
        while (operation := self.receive()).get("id") != "settle":
            arrived.append(operation)
        return arrived

    def close(self) -> None:
        self._stack.close()
