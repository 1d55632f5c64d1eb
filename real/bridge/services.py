"""Services over the bridge: calls are handed to the client that advertised the service, answers handed back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol


class Client(Protocol):
    """A connection to which answers can be sent."""

    def answer(self, operation: dict[str, object]) -> None: ...


@dataclass(frozen=True)
class _Call:
    service: str
    caller: Client
    caller_id: object
    provider: Client
    expiry: asyncio.TimerHandle


class Services:
    """Who provides which service, and which calls are pending. A call without an answer fails after `timeout` s."""

    def __init__(self, timeout: float, call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle]) -> None:
        self._timeout = timeout
        self._call_later = call_later
        self._providers: dict[str, Client] = {}
        self._calls: dict[str, _Call] = {}
        self._numbers = count(1)

    def advertise(self, client: Client, operation: Mapping[str, Any]) -> None:
        """The newest provider of a name takes its calls, as in servers."""
        self._providers[str(operation.get("service"))] = client

    def unadvertise(self, client: Client, operation: Mapping[str, Any]) -> None:
        """Stop providing; only the provider itself can."""
        service = str(operation.get("service"))
        if self._providers.get(service) is client:
            del self._providers[service]

    def call(self, client: Client, operation: Mapping[str, Any]) -> None:
        """Hand a call to its provider, or answer that there is none."""
        service = str(operation.get("service"))
        provider = self._providers.get(service)
        if provider is None:
            _respond(client, service, operation.get("id"), False, f"Service {service} does not exist")
            return
        identity = f"service_request:{service}:{next(self._numbers)}"
        expiry = self._call_later(self._timeout, lambda: self._fail(identity, "Timeout exceeded"))
        self._calls[identity] = _Call(service, client, operation.get("id"), provider, expiry)
        args = operation.get("args", {})
        provider.answer({"op": "call_service", "id": identity, "service": service, "args": args})

    def respond(self, client: Client, operation: Mapping[str, Any]) -> None:
        """Hand an answer back; an answer that nobody waits for, or from another client, is dropped."""
        identity = str(operation.get("id"))
        call = self._calls.get(identity)
        if call is None or call.provider is not client:
            return
        succeeded = operation.get("result", True) is True
        values = operation.get("values", {})
        if not succeeded and not isinstance(values, str):
            values = json.dumps(values) if values else f"Service {call.service} failed"
        self._finish(identity, succeeded, values)

    def forget(self, client: Client) -> None:
        """A client has disconnected: fail the calls that it would have answered."""
        for service in [name for name, provider in self._providers.items() if provider is client]:
            del self._providers[service]
        for identity, call in list(self._calls.items()):
            if call.provider is client:
                self._fail(identity, f"Service {call.service} has gone")
            elif call.caller is client:
                call.expiry.cancel()
                del self._calls[identity]

    def _fail(self, identity: str, reason: str) -> None:
        self._finish(identity, False, reason)

    def _finish(self, identity: str, succeeded: bool, values: object) -> None:
        call = self._calls.pop(identity)
        call.expiry.cancel()
        _respond(call.caller, call.service, call.caller_id, succeeded, values)


def _respond(client: Client, service: str, identity: object, succeeded: bool, values: object) -> None:
    answer: dict[str, object] = {"op": "service_response", "service": service, "values": values, "result": succeeded}
    if identity is not None:
        answer["id"] = identity
    client.answer(answer)
