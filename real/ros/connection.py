"""How to reach a rosbridge server: settings that the driver and the simulated robot share."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from policies.errors import UserError
from real.ros.topics import FlightTopics
from real.ros.version import RosVersion, check_version


@dataclass(frozen=True)
class RosbridgeConnection:
    """Raises UserError, in one line, for a setting that can't hold."""

    url: str = "ws://127.0.0.1:9090"
    """Address of the rosbridge server, ws:// or wss://."""
    token: str = ""
    """Sent as `Authorization: Bearer <token>`; `@FILE` reads it from a file."""
    ca_file: str = ""
    """PEM file with the certificates to trust for wss://; empty trusts the system's."""
    ros_version: RosVersion = 2
    """ROS version behind the server: how types are spelled and which fields a stamp has."""
    namespace: str = ""
    """Prefix of the robot's topics, such as /cf1."""

    def __post_init__(self) -> None:
        check_version(self.ros_version)
        FlightTopics(self.namespace)
        if not self.url.startswith(("ws://", "wss://")):
            raise UserError(f"url is {self.url!r}, expected ws://HOST:PORT or wss://HOST:PORT")
        if self.token and self.url.startswith("ws://") and not is_loopback(urlsplit(self.url).hostname or ""):
            raise UserError(f"url {self.url} would send the token in the clear: use wss://")
        if self.ca_file and not os.path.isfile(self.ca_file):
            raise UserError(f"ca_file: there is no file {self.ca_file}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(token: str) -> str:
    """The token itself; `@FILE` reads it from the file, so that it does not appear in a process list."""
    if not token.startswith("@"):
        return token
    try:
        text = Path(token[1:]).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(f"token: can't read {token[1:]} ({error.strerror})") from None
    if not text:
        raise UserError(f"token: the file {token[1:]} is empty")
    return text
