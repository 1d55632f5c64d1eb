"""What a driver behind a rosbridge server needs of one kind of robot: its topics, its messages and what it offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from deploy.bundle.manifest import Manifest
from real.contract.offer import Offer
from real.contract.robot import Array
from real.ros.version import RosVersion


class Taken(NamedTuple):
    """What a message gave: its `stamp` in ns on the robot's clock, and the sensors of the reading that it completes."""

    stamp: int
    sensors: Mapping[str, Array] | None


class Wire(Protocol):
    """One kind of robot. Called from one thread at a time."""

    offer: Offer
    """The sensors of its readings and the commands it takes."""
    types: Mapping[str, str]
    """Every topic -> `package/Type`."""
    subscribed: Mapping[str, str]
    """Topic -> name in fault counts, of the topics that `take` is given."""
    readings: tuple[str, ...]
    """Those among them without which there is no reading."""
    command: str
    status: str
    stop: str
    started_by: str
    """The command that starts the simulated robot of this kind."""
    user_goal: tuple[Array, float] | None
    """As `Robot.user_goal`."""

    @property
    def apart(self) -> float | None:
        """How far the newest stamps of the two kinds of messages in a reading are apart, in s, while both come and
        don't make one; None otherwise."""
        ...

    def take(self, topic: str, message: object, received: float) -> Taken | None:
        """Take in a message that came at `received` s of the host's clock; None when it is not part of a reading.

        Raises MalformedMessage, with a cause, for one that can't be used.
        """

    def command_message(self, command: Mapping[str, Array], stamp: int, writer: str, sequence: int) -> dict[str, Any]:
        """The message of a command, computed from the reading of `stamp` ns."""


class MakeWire(Protocol):
    """Makes the wire for a bundle and a namespace. `tolerance` s is the largest difference between the stamps of two
    messages that make one reading."""

    offer: Offer

    def __call__(self, manifest: Manifest, namespace: str, version: RosVersion, tolerance: float) -> Wire: ...
