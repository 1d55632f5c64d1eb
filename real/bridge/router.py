"""The rosbridge operations, without any network: publishers, subscribers and services.

As in real servers, a bad publish or subscribe is dropped silently, and only a failed service call is answered (result
false, values a string). The bridge logs what it dropped.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from real.bridge.outbox import LaneOptions, Outbox
from real.bridge.services import Services
from real.bridge.settings import BridgeSettings
from real.ros.conform import MessageMismatch, conform, without_nan
from real.ros.definitions import is_defined
from real.ros.version import plain_type

LOGGER = logging.getLogger("robo_rl.bridge")


class Refused(ValueError):
    """An operation that a server drops silently; the text says why, for the log."""


@dataclass(eq=False)
class Client:
    """One connection. `notify` is called whenever something new waits in the outbox, `drop` ends the connection."""

    name: str
    outbox: Outbox
    notify: Callable[[], None]
    drop: Callable[[], None]
    subscriptions: dict[str, dict[str, LaneOptions]] = field(default_factory=dict)
    advertised: dict[str, set[str]] = field(default_factory=dict)

    def answer(self, operation: Mapping[str, Any]) -> None:
        """Send an operation that is not a topic message."""
        if not self.outbox.answer(encode(operation)):
            LOGGER.warning("%s dropped: it does not read its answers", self.name)
            self.drop()
        self.notify()


@dataclass
class _Topic:
    kind: str
    publishers: set[Client] = field(default_factory=set)
    subscribers: set[Client] = field(default_factory=set)
    latched: str | None = None


class Router:
    """All topics and services of one bridge. Not thread-safe: it belongs to the event loop."""

    def __init__(self, settings: BridgeSettings, services: Services) -> None:
        self._settings = settings
        self._services = services
        self._topics: dict[str, _Topic] = {}
        self._operations: dict[str, Callable[[Client, Mapping[str, Any]], None]] = {
            "advertise": self._advertise,
            "unadvertise": self._unadvertise,
            "publish": self._publish,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "advertise_service": services.advertise,
            "unadvertise_service": services.unadvertise,
            "call_service": services.call,
            "service_response": services.respond,
        }

    def handle(self, client: Client, operation: Mapping[str, Any]) -> None:
        """Carry out one operation of `client`.

        Raises:
            Refused: The operation is unknown or can't be carried out; the client gets no reply.
        """
        act = self._operations.get(str(operation.get("op")))
        if act is None:
            raise Refused(f"unknown operation {operation.get('op')!r}")
        act(client, operation)

    def forget(self, client: Client) -> None:
        """Drop everything that belongs to a client that has disconnected."""
        for name in list(self._topics):
            topic = self._topics[name]
            topic.publishers.discard(client)
            topic.subscribers.discard(client)
            self._drop_if_unused(name)
        self._services.forget(client)

    def _advertise(self, client: Client, operation: Mapping[str, Any]) -> None:
        name = _text(operation, "topic")
        self._topic(name, _text(operation, "type")).publishers.add(client)
        client.advertised.setdefault(name, set()).add(str(operation.get("id", "")))

    def _unadvertise(self, client: Client, operation: Mapping[str, Any]) -> None:
        name = _text(operation, "topic")
        identities = client.advertised.get(name, set())
        identities.discard(str(operation.get("id", "")))
        if not identities or "id" not in operation:
            client.advertised.pop(name, None)
            if name in self._topics:
                self._topics[name].publishers.discard(client)
                self._drop_if_unused(name)

    def _publish(self, client: Client, operation: Mapping[str, Any]) -> None:
        name = _text(operation, "topic")
        topic = self._topics.get(name)
        if topic is None:
            raise Refused(f"nobody has advertised {name}, so its type is unknown")
        topic.publishers.add(client)
        message = operation.get("msg", {})
        if is_defined(topic.kind):
            try:
                message = conform(topic.kind, message, self._settings.ros_version, time.time_ns())
            except MessageMismatch as error:
                raise Refused(f"message on {name} dropped: {error}") from None
        text = encode({"op": "publish", "topic": name, "msg": message})
        if operation.get("latch") is True:
            topic.latched = text
        now = time.monotonic()
        for subscriber in topic.subscribers:
            subscriber.outbox.publish(name, text, now)
            subscriber.notify()

    def _subscribe(self, client: Client, operation: Mapping[str, Any]) -> None:
        name = _text(operation, "topic")
        options = _lane_options(operation)
        spelled = operation.get("type")
        if not isinstance(spelled, str) and name not in self._topics:
            raise Refused(f"subscription to {name} without a type, and nobody has advertised it")
        topic = self._topic(name, spelled if isinstance(spelled, str) else "")
        lanes = client.subscriptions.setdefault(name, {})
        lanes[str(operation.get("id", ""))] = options
        client.outbox.open_lane(name, _strictest(lanes))
        if client not in topic.subscribers:
            topic.subscribers.add(client)
            if topic.latched is not None:
                client.outbox.publish(name, topic.latched, time.monotonic())
                client.notify()

    def _unsubscribe(self, client: Client, operation: Mapping[str, Any]) -> None:
        name = _text(operation, "topic")
        lanes = client.subscriptions.get(name, {})
        if "id" in operation:
            lanes.pop(str(operation["id"]), None)
        else:
            lanes.clear()
        if lanes:
            client.outbox.open_lane(name, _strictest(lanes))
            return
        client.subscriptions.pop(name, None)
        client.outbox.close_lane(name)
        if name in self._topics:
            self._topics[name].subscribers.discard(client)
            self._drop_if_unused(name)

    def _topic(self, name: str, spelled: str) -> _Topic:
        """The topic, made when it is new; refuses a type that contradicts the topic's, or that the server lacks."""
        kind = plain_type(spelled, self._settings.ros_version)
        if spelled:
            if not kind:
                raise Refused(f"{spelled!r} is not a type name of ROS {self._settings.ros_version}")
            if not is_defined(kind) and self._settings.unknown_types == "refuse":
                raise Refused(f"type {spelled} is not known to this bridge (--unknown-types pass lets it through)")
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic(kind)
        elif spelled and topic.kind != kind:
            raise Refused(f"{name} has type {topic.kind}, not {kind}")
        return topic

    def _drop_if_unused(self, name: str) -> None:
        if not self._topics[name].publishers and not self._topics[name].subscribers:
            del self._topics[name]


def encode(operation: Mapping[str, Any]) -> str:
    """JSON of an operation; numbers that JSON lacks become null, as servers send them."""
    try:
        return json.dumps(operation, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(without_nan(dict(operation)), separators=(",", ":"))


def _text(operation: Mapping[str, Any], name: str) -> str:
    value = operation.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(f"{operation.get('op')} without {name}")
    return value


def _lane_options(operation: Mapping[str, Any]) -> LaneOptions:
    numbers: dict[str, int] = {}
    for name, value in (("throttle_rate", 0), ("queue_length", 0), ("fragment_size", 0)):
        given = operation.get(name, value)
        given = value if given is None else given
        if type(given) is not int or given < 0:
            raise Refused(f"subscribe: {name} is {given!r}, expected a whole number from 0")
        numbers[name] = given
    if operation.get("compression", "none") not in ("none", None):
        raise Refused(f"subscribe: compression {operation['compression']!r}; this bridge takes plain JSON only")
    size = float(numbers["fragment_size"]) or math.inf
    return LaneOptions(numbers["throttle_rate"] / 1000.0, numbers["queue_length"], size)


def _strictest(lanes: Mapping[str, LaneOptions]) -> LaneOptions:
    """Several subscriptions of a client to a topic share a lane: the smallest of each option counts, as in servers."""
    every = list(lanes.values())
    return LaneOptions(
        min(lane.throttle for lane in every),
        min(lane.queue_length for lane in every),
        min(lane.fragment_size for lane in every),
    )
