"""One connection of roslibpy, with the parts that the library leaves to its user."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from real.robots.wire import Wire
from real.ros.connection import read_token
from real.ros.legged_messages import TWIST, TWIST_STAMPED
from real.ros.version import RosVersion, type_name


class LinkSettings(Protocol):
    """The part of `RosbridgeSettings` that a connection needs."""

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def ca_file(self) -> str: ...
    @property
    def ros_version(self) -> RosVersion: ...
    @property
    def cmd_vel(self) -> str: ...
    @property
    def reconnect_delay(self) -> float: ...
    @property
    def max_reconnect_delay(self) -> float: ...


class RosbridgeLink:
    """One connection of roslibpy. All but `connected`, `run` and `close` belongs to its event loop's thread."""

    def __init__(self, settings: LinkSettings, wire: Wire, callbacks: Mapping[str, Callable[[Any], None]]) -> None:
        import roslibpy
        from roslibpy.comm.comm_asyncio import AsyncioRosBridgeClientFactory

        if settings.ca_file:
            os.environ["SSL_CERT_FILE"] = settings.ca_file  # The library's default TLS context reads this alone.
        AsyncioRosBridgeClientFactory.set_initial_delay(settings.reconnect_delay)
        AsyncioRosBridgeClientFactory.set_max_delay(settings.max_reconnect_delay)
        headers = {"Authorization": f"Bearer {read_token(settings.token)}"} if settings.token else None
        self.connected = False
        self._closed = threading.Event()
        self._ros = roslibpy.Ros(settings.url, headers=headers, transport="asyncio")
        others = {TWIST: TWIST_STAMPED} if settings.cmd_vel == "TwistStamped" else {}
        types = {name: type_name(others.get(kind, kind), settings.ros_version) for name, kind in wire.types.items()}

        def topic(name: str, queue_length: int = 1) -> Any:
            # The library's own resubscription waits a second and loses messages: `_subscribe` does it instead.
            return roslibpy.Topic(
                self._ros, name, types[name], queue_size=1, queue_length=queue_length, reconnect_on_close=False
            )

        # A Topic that both publishes and subscribes receives nothing after a reconnect, so each has one task.
        self._publishers = {name: topic(name) for name in (wire.command, wire.stop)}
        # Only the newest reading matters, but every command, because it may come from another writer.
        self._subscribers = [
            (topic(name, 10 if name == wire.command else 1), callback) for name, callback in callbacks.items()
        ]
        self._ros.on("close", self._on_close)
        self._ros.on("ready", self._subscribe)
        self.run(self._subscribe)  # The connection may have been ready before the line above.

    def run(self, task: Callable[[], object]) -> None:
        """Run `task` on the event loop soon; returns at once, from any thread."""
        self._ros.call_later(0, task)

    def publish(self, name: str, message: dict[str, Any]) -> None:
        """Send now, or not at all."""
        if self.connected and self._ros.is_connected:
            self._publishers[name].publish(message)

    def close(self, last: bool) -> None:
        """Close the connection for good; `last` ends the library's thread too."""
        self._ros.factory.maxRetries = 0
        if self.connected:
            self.run(self._ros.close)
            self._closed.wait(0.5)
        self.connected = False
        # The loop closes its sockets a few iterations later; stopped earlier, it would leak them.
        settled = threading.Event()
        self._ros.call_later(0.02, settled.set)
        settled.wait(0.5)
        if last:
            self._ros.factory.manager.terminate()

    def _subscribe(self, _protocol: object = None) -> None:
        if self.connected or not self._ros.is_connected:
            return
        for topic in self._publishers.values():
            topic.advertise()
        for topic, callback in self._subscribers:
            topic.unsubscribe()  # Forgets the last connection's subscription, without which the next line does nothing.
            topic.subscribe(callback)
        self.connected = True

    def _on_close(self, _protocol: object) -> None:
        self.connected = False
        self._closed.set()
