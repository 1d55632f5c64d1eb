"""Settings of the bridge: nobody opens it to the network by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from real.bridge.settings import BridgeSettings
from real.ros.connection import is_loopback, read_token


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "robot.local", ""])
def test_other_machines_need_token_and_tls(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token, certificate, key"):
        BridgeSettings(host=host)
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    with pytest.raises(ValueError, match="token"):
        BridgeSettings(host=host, certificate=str(pem), key=str(pem))
    assert BridgeSettings(host=host, token="t", certificate=str(pem), key=str(pem)).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    assert BridgeSettings(host=host).host == host


@pytest.mark.parametrize(
    "change",
    [
        {"port": -1},
        {"port": 65536},
        {"ros_version": 3},
        {"max_clients": 0},
        {"max_message_bytes": 10},
        {"service_timeout": 0.0},
        {"certificate": "/nowhere.pem", "key": "/nowhere.pem"},
        {"certificate": "a.pem"},
    ],
)
def test_bad_values_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))) as raised:
        BridgeSettings(**change)
    assert "\n" not in str(raised.value)


def test_tokens_can_live_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert read_token(f"@{tmp_path}/token") == "secret"
    assert read_token("plain") == "plain"
    with pytest.raises(ValueError, match="missing"):
        read_token(f"@{tmp_path}/missing")
