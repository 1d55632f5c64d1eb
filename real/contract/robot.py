"""The interface between the control loop and a robot: the loop reads the newest sensors, writes one command, and asks
for the state of the link.

A driver is one class that satisfies `Robot`. It converts names, units and quaternion order at its border, so that
everything above it sees named arrays in SI units and quaternions as w, x, y, z.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from real.contract.offer import Offer

Array = NDArray[np.float64]

FAILSAFE, LANDED, RESTING, ESTOPPED = "failsafe", "landed", "resting", "estopped"
"""The words in `LinkStatus.robot_state` of a robot that obeys nobody until it is armed again: it has taken itself
over, has stopped on the ground (a flying one), rests after a stop (a legged one), or has cut its actuators. A driver
translates a robot's own words for these into them."""
NOT_OBEYING = frozenset({FAILSAFE, LANDED, RESTING, ESTOPPED})


class LinkDown(ConnectionError):
    """A command was dropped, because the link is down or its reading is too old to act on."""


@dataclass(frozen=True)
class RobotReading:
    """One state of the robot as it was measured."""

    sensors: Mapping[str, Array]
    """Sensor name -> array [dim], float64, SI units, quaternions w, x, y, z. Values may be bad: the supervisor checks
    them."""
    stamp: float
    """When it was measured, in s on the robot's clock; only differences of stamps have a meaning to the host."""
    received: float
    """When it reached the host, in s of time.monotonic()."""
    sequence: int
    """The robot's own counter or, where a robot has none, the driver's; it grows with every new reading."""


@dataclass(frozen=True)
class LinkStatus:
    """The state of the link, and the writer that the robot obeys."""

    connected: bool
    """Whether the transport reports a connection; it stays True when the other end is frozen; `heartbeat_age` detects
    that."""
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
    """Identity of the robot's running process, new after each start; "" when the robot does not report it."""
    gains: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Joint -> stiffness in Nm/rad and damping in Nm s/rad that its motor is set to; empty when not reported."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Readings that the driver dropped since the connection was made, counted by cause, such as "odometry: null"."""
    cause: str = ""
    """Why the robot last stopped following its host, in its own words; "" when it does not report it."""


class Robot(Protocol):
    """A driver for one robot.

    All methods return at once, except `connect`; none may block on the network. `read`, `link`, `write` and `stop` are
    called by the control loop's thread; a driver with a thread of its own does its own locking.
    """

    name: str
    """The robot's name in reports and recordings."""
    writer: str
    """This driver's own identity as a writer of commands; `LinkStatus.owner` equals it while the robot obeys us."""

    @property
    def offer(self) -> Offer:
        """The sensors of its readings and the commands it takes; a session refuses a bundle that needs others."""
        ...

    @property
    def user_goal(self) -> tuple[Array, float] | None:
        """The newest goal from outside the host, such as a velocity command on /cmd_vel or a pose, and when it came, in
        s of time.monotonic(); None before the first, and for a robot on whose link nobody sends any."""
        ...

    def connect(self, timeout: float) -> None:
        """Connect, and wait until the first reading and the first status message have arrived.

        Raises:
            ConnectionError: Nothing came within `timeout` s; the message says what was tried and what to check.
        """

    def arm(self) -> None:
        """Ask the robot to obey commands; the answer is `LinkStatus.robot_state`, no longer in `NOT_OBEYING`.

        A robot with its own fail-safe grants it only at rest on the ground. Returns at once and may be called again; it
        changes nothing for a robot that needs no arming. Never raises.
        """

    def read(self) -> RobotReading | None:
        """The newest reading, the same one again if nothing newer came, or None before the first."""

    def link(self) -> LinkStatus:
        """The state of the link as of now."""

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        """Send one command: name -> array [dim] in SI units, computed from `reading`.

        The stamp of `reading` is echoed, so that the robot can measure the command's age on its own clock. Nothing is
        ever queued: a command that can't leave now is dropped.

        Raises:
            LinkDown: The link is down, `reading` is too old, or `stop` was called before; the command was dropped.
        """

    def stop(self) -> None:
        """Ask the robot to run its own fail-safe; while the link is down nothing is sent.

        No command leaves after it. May be called again and in any state; never raises.
        """

    def emergency_stop(self) -> None:
        """Ask the robot to cut its actuators at once; otherwise as `stop`."""

    def close(self) -> None:
        """Drop the link and free everything. May be called again."""
