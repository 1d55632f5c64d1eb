"""The bridge over real sockets: what is passed on, what is dropped in silence, and who is let in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from real.bridge.settings import BridgeSettings
from tests.real.bridge.bridge_in_thread import BareClient, bridge, make_certificate, trusting

pytestmark = pytest.mark.realtime

POINT = "geometry_msgs/msg/Point"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with bridge(BridgeSettings(port=0)) as found:
        yield found


@pytest.fixture
def pair(address: str) -> Iterator[tuple[BareClient, BareClient]]:
    first, second = BareClient(address), BareClient(address)
    yield first, second
    first.close()
    second.close()


def test_a_message_reaches_its_subscriber_filled_up(pair: tuple[BareClient, BareClient]) -> None:
    talker, listener = pair
    listener.send({"op": "subscribe", "topic": "/p", "type": POINT})
    listener.settle()
    talker.send({"op": "advertise", "topic": "/p", "type": POINT})
    talker.send({"op": "publish", "topic": "/p", "msg": {"x": 1}})
    assert listener.receive() == {"op": "publish", "topic": "/p", "msg": {"x": 1.0, "y": 0.0, "z": 0.0}}


@pytest.mark.parametrize(
    "bad",
    [
        {"op": "publish", "topic": "/p", "msg": {"x": None}},
        {"op": "publish", "topic": "/p", "msg": {"x": 1.0, "unknown": 2}},
        {"op": "publish", "topic": "/p", "msg": {"x": "1"}},
        {"op": "publish", "topic": "/p", "msg": []},
        {"op": "publish", "topic": "/never_advertised", "msg": {"x": 1.0}},
        {"op": "publish"},
        {"op": "advertise", "topic": "/p", "type": "std_msgs/msg/String"},
        {"op": "advertise", "topic": "/q", "type": "no_such/msg/Type"},
        {"op": "subscribe", "topic": "/p", "type": POINT, "compression": "png"},
        {"op": "subscribe", "topic": "/p", "type": POINT, "throttle_rate": "fast"},
        {"op": "subscribe", "topic": "/nobody_knows_its_type"},
        {"op": "status", "level": "none"},
        {"op": "auth", "mac": "x"},
        {"op": 3},
        {"op": "fragment", "data": "x"},
        {},
        "not json",
        "[1, 2]",
        "[" * 5000,
    ],
)
def test_what_does_not_fit_is_dropped_in_silence_and_the_rest_goes_on(
    pair: tuple[BareClient, BareClient], bad: Any
) -> None:
    talker, listener = pair
    listener.send({"op": "subscribe", "topic": "/p", "type": POINT})
    listener.settle()
    talker.send({"op": "advertise", "topic": "/p", "type": POINT})
    talker.send(bad)
    assert talker.settle() == []
    assert listener.settle() == []
    talker.send({"op": "publish", "topic": "/p", "msg": {"x": 2.0}})
    assert listener.receive()["msg"]["x"] == 2.0


def test_nan_goes_in_and_null_comes_out(pair: tuple[BareClient, BareClient]) -> None:
    talker, listener = pair
    listener.send({"op": "subscribe", "topic": "/p", "type": POINT})
    listener.settle()
    talker.send({"op": "advertise", "topic": "/p", "type": POINT})
    talker.send('{"op": "publish", "topic": "/p", "msg": {"x": NaN, "y": Infinity}}')
    assert listener.receive()["msg"] == {"x": None, "y": None, "z": 0.0}


def test_a_publisher_hears_itself_and_unsubscribe_ends_it(pair: tuple[BareClient, BareClient]) -> None:
    client, _ = pair
    client.send({"op": "advertise", "topic": "/p", "type": POINT})
    client.send({"op": "subscribe", "id": "1", "topic": "/p", "type": POINT})
    client.send({"op": "subscribe", "id": "2", "topic": "/p", "type": POINT})
    client.send({"op": "publish", "topic": "/p", "msg": {}})
    assert len(client.settle()) <= 1  # One message for both subscriptions, before or after the answer.
    client.send({"op": "unsubscribe", "id": "1", "topic": "/p"})
    client.settle()
    client.send({"op": "publish", "topic": "/p", "msg": {"x": 5.0}})
    assert client.receive()["msg"]["x"] == 5.0
    client.send({"op": "unsubscribe", "id": "2", "topic": "/p"})
    client.send({"op": "publish", "topic": "/p", "msg": {}})
    assert client.settle() == []


def test_a_latched_message_waits_for_the_subscriber(pair: tuple[BareClient, BareClient]) -> None:
    talker, listener = pair
    talker.send({"op": "advertise", "topic": "/latched", "type": POINT})
    talker.send({"op": "publish", "topic": "/latched", "msg": {"x": 7.0}, "latch": True})
    talker.settle()
    listener.send({"op": "subscribe", "topic": "/latched", "type": POINT})
    assert listener.receive()["msg"]["x"] == 7.0


def test_long_messages_come_in_fragments_when_asked(pair: tuple[BareClient, BareClient]) -> None:
    talker, listener = pair
    listener.send({"op": "subscribe", "topic": "/s", "type": "std_msgs/String", "fragment_size": 100})
    listener.settle()
    text = json.dumps({"op": "publish", "topic": "/s", "msg": {"data": "é" * 300}})
    talker.send({"op": "advertise", "topic": "/s", "type": "std_msgs/String"})
    half = len(text) // 2
    for number, part in ((1, text[half:]), (0, text[:half])):
        talker.send({"op": "fragment", "id": "f", "data": part, "num": number, "total": 2})
    fragments = [listener.receive()]
    while len(fragments) < fragments[0]["total"]:
        fragments.append(listener.receive())
    assert all(f["op"] == "fragment" and len(f["data"]) <= 100 for f in fragments)
    assert json.loads("".join(f["data"] for f in fragments))["msg"]["data"] == "é" * 300


def test_services_are_handed_through(pair: tuple[BareClient, BareClient]) -> None:
    provider, caller = pair
    provider.send({"op": "advertise_service", "service": "/add", "type": "x/Add"})
    provider.settle()
    caller.send({"op": "call_service", "service": "/add", "args": {"a": 1}, "id": "c1"})
    request = provider.receive()
    assert (request["op"], request["service"], request["args"]) == ("call_service", "/add", {"a": 1})
    answer = {"op": "service_response", "service": "/add", "id": request["id"], "values": {"sum": 3}, "result": True}
    provider.send(answer)
    expected = {"op": "service_response", "service": "/add", "values": {"sum": 3}, "result": True, "id": "c1"}
    assert caller.receive() == expected


def test_failed_services_answer_with_a_string(pair: tuple[BareClient, BareClient]) -> None:
    provider, caller = pair
    caller.send({"op": "call_service", "service": "/none", "id": "c"})
    missing = caller.receive()
    assert missing["result"] is False
    assert isinstance(missing["values"], str)
    provider.send({"op": "advertise_service", "service": "/add", "type": "x/Add"})
    provider.settle()
    caller.send({"op": "call_service", "service": "/add", "id": "c"})
    provider.receive()
    provider.close()
    gone = caller.receive()
    assert gone["result"] is False
    assert isinstance(gone["values"], str)


def test_a_service_without_an_answer_times_out() -> None:
    with bridge(BridgeSettings(port=0, service_timeout=0.05)) as found:
        client = BareClient(found)
        client.send({"op": "advertise_service", "service": "/slow", "type": "x/Slow"})
        client.send({"op": "call_service", "service": "/slow", "id": "c"})
        assert client.receive()["op"] == "call_service"
        assert client.receive() == {
            "op": "service_response", "service": "/slow", "values": "Timeout exceeded", "result": False, "id": "c",
        }  # fmt: skip
        client.close()


def test_too_large_a_message_ends_the_connection_and_no_other() -> None:
    with bridge(BridgeSettings(port=0, max_message_bytes=2000)) as found:
        loud, quiet = BareClient(found), BareClient(found)
        loud.send("x" * 3000)
        with pytest.raises(ConnectionClosedError) as raised:
            loud.receive()
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.code == 1009
        assert quiet.settle() == []
        quiet.close()


def test_one_client_too_many_is_refused_until_another_goes() -> None:
    with bridge(BridgeSettings(port=0, max_clients=1)) as found:
        client = BareClient(found)
        client.settle()
        with pytest.raises(InvalidStatus) as raised:
            BareClient(found)
        assert raised.value.response.status_code == 503
        assert client.settle() == []
        client.close()


def test_a_token_is_asked_for() -> None:
    with bridge(BridgeSettings(port=0, token="secret")) as found:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
            with pytest.raises(InvalidStatus) as raised:
                BareClient(found, additional_headers=headers)
            assert raised.value.response.status_code == 401
        client = BareClient(found, additional_headers={"Authorization": "Bearer secret"})
        assert client.settle() == []
        client.close()


def test_web_pages_are_kept_out_unless_allowed(address: str) -> None:
    with pytest.raises(InvalidStatus):
        BareClient(address, origin="http://evil.example")
    with bridge(BridgeSettings(port=0, allowed_origins=("http://panel.example",))) as found:
        client = BareClient(found, origin="http://panel.example")
        assert client.settle() == []
        client.close()


def test_unknown_types_pass_when_asked() -> None:
    with bridge(BridgeSettings(port=0, unknown_types="pass")) as found:
        client = BareClient(found)
        client.send({"op": "advertise", "topic": "/x", "type": "my_msgs/msg/Thing"})
        client.send({"op": "subscribe", "topic": "/x", "type": "my_msgs/msg/Thing"})
        client.send({"op": "publish", "topic": "/x", "msg": {"anything": [1, None]}})
        assert client.receive()["msg"] == {"anything": [1, None]}
        client.close()


def test_ros_1_spells_types_and_stamps_its_own_way() -> None:
    with bridge(BridgeSettings(port=0, ros_version=1)) as found:
        client = BareClient(found)
        client.send({"op": "advertise", "topic": "/a", "type": "std_msgs/msg/Header"})
        client.send({"op": "publish", "topic": "/a", "msg": {}})
        client.send({"op": "subscribe", "topic": "/b", "type": "std_msgs/Header"})
        client.send({"op": "publish", "topic": "/b", "msg": {"seq": 4, "stamp": {"secs": 1, "nsecs": 2}}})
        expected = {"seq": 4, "stamp": {"secs": 1, "nsecs": 2}, "frame_id": ""}
        assert client.receive() == {"op": "publish", "topic": "/b", "msg": expected}
        client.close()


def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with bridge(BridgeSettings(port=0, certificate=str(certificate), key=str(key))) as found:
        assert found.startswith("wss://")
        client = BareClient(found, ssl=trusting(certificate))
        assert client.settle() == []
        client.close()


def test_a_bad_certificate_is_one_line(tmp_path: Path) -> None:
    from real.bridge.server import serve

    pem = tmp_path / "bad.pem"
    pem.write_text("nothing")
    with pytest.raises(ValueError, match=r"bad\.pem"):
        serve(BridgeSettings(port=0, certificate=str(pem), key=str(pem)))
