"""What the control loop knows of a robot: it reads the newest sensors, writes one command, and asks how the link is.

A driver is one class that satisfies `Robot`. It converts names, units and quaternion order at its border, so that
everything above it sees named arrays in SI units and quaternions as w, x, y, z.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FAILSAFE, LANDED, RESTING, ESTOPPED = "failsafe", "landed", "resting", "estopped"
"""The words in `LinkStatus.robot_state` of a robot that obeys nobody until it is armed again: it has taken itself
over, has stopped on the ground (a flying one), rests after a stop (a legged one), or has cut its actuators. A driver
translates a robot's own words for these into them."""
NOT_OBEYING = frozenset({FAILSAFE, LANDED, RESTING, ESTOPPED})


class LinkDown(ConnectionError):
    """A command was dropped, because the link is down or the reading it was computed from is too old to act on."""


@dataclass(frozen=True)
class Reading:
    """One state of the robot as it was measured."""

    sensors: Mapping[str, Array]
    """Sensor name -> array [dim], float64, SI units, quaternions w, x, y, z. Values may be bad: the supervisor
    judges."""
    stamp: float
    """When it was measured, in s on the robot's clock; only differences of stamps have a meaning to the host."""
    received: float
    """When it reached the host, in s of time.monotonic()."""
    sequence: int
    """The robot's own counter or, where a robot has none, the driver's; it grows with every new reading."""


@dataclass(frozen=True)
class LinkStatus:
    """What is known about the link and about whom the robot obeys."""

    connected: bool
    """Whether the transport believes to be connected; a frozen peer leaves it True, hence `heartbeat_age`."""
    heartbeat_age: float
    """Time since the robot's last status message in s of the host's clock; math.inf before the first."""
    owner: str
    """Identity of the writer that the robot obeys; "" when it obeys nobody."""
    robot_state: str
    """The robot's own word for its state, such as "holding" or "flying", or one of `NOT_OBEYING`; "" when unknown."""
    rejected: int
    """Number of commands that the robot has rejected since it started."""
    other_writers: int
    """Number of command messages of foreign writers seen since the connection was made."""
    boot: str = ""
    """Identity of the robot's running process: another one after each start; "" when the robot does not tell."""
    gains: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Joint -> stiffness in Nm/rad and damping in Nm s/rad that its motor is set to; empty when not told."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Readings that the driver dropped since the connection was made, counted by cause, such as "odometry: null"."""
    cause: str = ""
    """Why the robot last left what its host wanted, in its own words; "" when it does not tell."""


class Robot(Protocol):
    """A driver for one robot.

    All methods return at once, but for `connect`; none may block on the network. `read`, `link`, `write` and `stop` are
    called by the control loop's thread; a driver with a thread of its own takes care of its locking.
    """

    name: str
    """What the reports and recordings call this robot."""
    writer: str
    """This driver's own identity as a writer of commands; `LinkStatus.owner` equals it while the robot obeys us."""

    def connect(self, timeout: float) -> None:
        """Connect, and wait until the first reading and the first status message are there.

        Raises:
            ConnectionError: Nothing came within `timeout` s; the message says what was tried and what to check.
        """

    def arm(self) -> None:
        """Ask the robot to obey commands; the answer is `LinkStatus.robot_state`, no longer in `NOT_OBEYING`.

        A robot that runs its own fail-safe grants it only at rest on the ground. Returns at once, may be called again
        and is sent to a robot that needs no arming, too, for which it changes nothing. Never raises.
        """

    def read(self) -> Reading | None:
        """Return the newest reading, the same one again if nothing newer came, or None before the first."""

    def link(self) -> LinkStatus:
        """Return the state of the link as of now."""

    def write(self, command: Mapping[str, Array], reading: Reading) -> None:
        """Send one command: name -> array [dim] in SI units, computed from `reading`.

        The stamp of `reading` is echoed, so that the robot can measure the command's age on its own clock. Nothing is
        ever queued: a command that can't leave now is dropped.

        Raises:
            LinkDown: The link is down, `reading` is too old, or the robot was told to stop; the command was dropped.
        """

    def stop(self) -> None:
        """Tell the robot explicitly to run its own fail-safe, now or, while the link is down, not at all.

        No command leaves after it. May be called again and in any state; never raises.
        """

    def emergency_stop(self) -> None:
        """Tell the robot explicitly to cut its actuators at once; else as `stop`."""

    def close(self) -> None:
        """Drop the link and free everything. May be called again."""
