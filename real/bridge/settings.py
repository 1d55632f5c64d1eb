"""Settings of the embedded bridge, checked when built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from policies.errors import UserError
from real.ros.connection import is_loopback
from real.ros.version import RosVersion, check_version


@dataclass(frozen=True)
class BridgeSettings:
    """How the bridge listens and what it refuses. Raises UserError, in one line, for a setting that can't hold."""

    host: str = "127.0.0.1"
    """Address to listen on. Anything but a loopback address also needs `token`, `certificate` and `key`."""
    port: int = 9090
    """TCP port; 0 picks a free one. The ready line names the port that was taken."""
    ros_version: RosVersion = 2
    """ROS version to imitate: how types are spelled and which fields a stamp has."""
    token: str = ""
    """Clients must send `Authorization: Bearer <token>`; empty asks for none. `@FILE` reads the token from a file."""
    certificate: str = ""
    """PEM file with the TLS certificate chain; with `key` the bridge serves wss."""
    key: str = ""
    """PEM file with the TLS private key."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins that may connect. By default no web page may: a browser carries any site's script to the robot."""
    max_clients: int = 16
    """Clients served at once; one more is refused with HTTP 503."""
    max_message_bytes: int = 1_000_000
    """Largest incoming message, also after joining fragments; a larger one closes the connection."""
    max_backlog: int = 1000
    """Messages kept for a slow client and topic when it asked for no queue length; the oldest is dropped first."""
    service_timeout: float = 5.0
    """Time in s after which an unanswered service call fails."""
    unknown_types: Literal["refuse", "pass"] = "refuse"
    """Message types that real/ros/definitions.py lacks: refuse them silently, as servers do, or pass them unchecked."""

    def __post_init__(self) -> None:
        check_version(self.ros_version)
        if not 0 <= self.port <= 65535:
            raise UserError(f"port is {self.port}, expected 0 to 65535")
        for name, low in (("max_clients", 1), ("max_message_bytes", 1024), ("max_backlog", 1)):
            if getattr(self, name) < low:
                raise UserError(f"{name} is {getattr(self, name)}, expected at least {low}")
        if not self.service_timeout > 0.0:
            raise UserError(f"service_timeout is {self.service_timeout} s, expected above 0")
        if bool(self.certificate) != bool(self.key):
            raise UserError("certificate and key belong together: give both or neither")
        for name in ("certificate", "key"):
            path = getattr(self, name)
            if path and not Path(path).is_file():
                raise UserError(f"{name}: there is no file {path}")
        if not is_loopback(self.host):
            missing = [name for name in ("token", "certificate", "key") if not getattr(self, name)]
            if missing:
                raise UserError(
                    f"host {self.host} can be reached from other machines: also give {', '.join(missing)}, "
                    "or listen on 127.0.0.1"
                )
