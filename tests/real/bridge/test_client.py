"""A robot's own connection: it finds the bridge, comes back after a loss, and keeps the newest only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from real.bridge.client import BridgeClient
from real.bridge.settings import BridgeSettings
from tests.real.bridge.bridge_in_thread import BareClient, bridge, make_certificate, trusting

pytestmark = pytest.mark.realtime

STRING = "std_msgs/msg/String"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 5 s"
        time.sleep(0.002)


def make_link(url: str, token: str = "", ca_file: str = "") -> tuple[BridgeClient, threading.Event]:
    connected = threading.Event()
    return BridgeClient(url, token, ca_file, {"/out": STRING}, {"/in": STRING}, connected.set), connected


def test_it_speaks_both_ways_over_tls_with_a_token(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)

    with bridge(BridgeSettings(port=0, token="t", certificate=str(certificate), key=str(key))) as found:
        client = BareClient(found, ssl=trusting(certificate), additional_headers={"Authorization": "Bearer t"})
        client.send({"op": "subscribe", "topic": "/out", "type": STRING})
        client.send({"op": "advertise", "topic": "/in", "type": STRING})
        client.settle()
        link, connected = make_link(found, "t", str(certificate))
        assert connected.wait(5.0)
        link.publish({"/out": {"data": "state"}})
        assert client.receive()["msg"] == {"data": "state"}
        client.send({"op": "publish", "topic": "/in", "msg": {"data": "command"}})
        taken: list[tuple[str, object]] = []

        def arrived() -> bool:
            taken.extend(link.take())
            return bool(taken)

        eventually(arrived)
        assert taken == [("/in", {"data": "command"})]
        link.close()
        client.close()


def test_it_connects_again_and_sends_nothing_from_before() -> None:
    with bridge(BridgeSettings(port=0)) as first:
        link, connected = make_link(first)
        assert connected.wait(5.0)
    eventually(lambda: not link._connected)
    link.publish({"/out": {"data": "said to nobody"}})
    with bridge(BridgeSettings(port=int(first.rsplit(":", 1)[1]))) as second:
        client = BareClient(second)
        client.send({"op": "subscribe", "topic": "/out", "type": STRING})
        client.settle()
        eventually(lambda: link._connected)
        link.publish({"/out": {"data": "new"}})
        assert client.receive()["msg"] == {"data": "new"}
        client.close()
        link.close()


def test_of_many_messages_at_once_only_the_newest_is_sent() -> None:
    with bridge(BridgeSettings(port=0)) as found:
        client = BareClient(found)
        client.send({"op": "subscribe", "topic": "/out", "type": STRING})
        client.settle()
        link, connected = make_link(found)
        assert connected.wait(5.0)

        def put_many() -> None:
            for number in range(1000):
                link._put({"/out": {"data": str(number)}})

        link._loop.call_soon_threadsafe(put_many)  # On the loop that sends: nothing leaves before all are put.
        assert client.receive()["msg"] == {"data": "999"}
        assert client.settle() == []
        link.close()
        client.close()
