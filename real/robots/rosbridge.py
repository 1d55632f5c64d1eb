"""A robot behind a rosbridge server, reached with roslibpy.

The library queues what is published while it is disconnected and sends it all on reconnect, backs off for up to an
hour, and does not detect a frozen server. So this driver calls roslibpy on its own event loop only, where "connected"
can't change between the check and the send; at most one command waits, and it is dropped when old.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.contract.offer import Offer
from real.contract.robot import Array, LinkDown, LinkStatus, RobotReading
from real.robots.rosbridge_link import RosbridgeLink
from real.robots.wire import MakeWire
from real.ros import messages
from real.ros.connection import RosbridgeConnection
from real.ros.fields import MalformedMessage
from real.ros.messages import StatusSample
from real.timing.clock_offset import ClockOffset

WIDEST_PAIRING = 0.02  # s


@dataclass(frozen=True)
class RosbridgeSettings(RosbridgeConnection):
    """How to reach the robot; `ca_file` holds for the whole process.

    Raises UserError, in one line, for a setting that can't hold.
    """

    name: str = "robot"
    """Name of this robot in reports and recordings."""
    max_age: float = 0.1
    """Age in s beyond which a reading is too old to send a command for."""
    pairing_tolerance: float = 0.0025
    """Largest difference in s between the stamps of the two messages that make one reading."""
    stamps: Literal["robot", "arrival"] = "robot"
    """When a reading was taken: by the robot's own stamps, or when it arrived, for robots whose stamps are zero."""
    cmd_vel: Literal["Twist", "TwistStamped"] = "Twist"
    """Type of /cmd_vel: geometry_msgs/Twist, or TwistStamped, which newer ROS 2 navigation sends."""
    reconnect_delay: float = 0.1
    """Time in s before the first attempt to connect again; it grows up to `max_reconnect_delay`."""
    max_reconnect_delay: float = 1.0
    """Largest time in s between two attempts to connect again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, choices in (("stamps", ("robot", "arrival")), ("cmd_vel", ("Twist", "TwistStamped"))):
            if getattr(self, field) not in choices:
                raise UserError(f"{field} is {getattr(self, field)!r}, expected {' or '.join(choices)}")
        # Upper bounds too, so that no setting turns a check off or keeps the link from reconnecting.
        for field, highest in (("max_age", 1.0), ("pairing_tolerance", WIDEST_PAIRING), ("reconnect_delay", 10.0)):
            if not 0.0 < getattr(self, field) <= highest:
                raise UserError(f"{field} is {getattr(self, field)} s, expected above 0 and up to {highest:g}")
        if not self.reconnect_delay <= self.max_reconnect_delay <= 60.0:
            least = f"at least reconnect_delay ({self.reconnect_delay:g}) and up to 60"
            raise UserError(f"max_reconnect_delay is {self.max_reconnect_delay} s, expected {least}")


class RosbridgeRobot:
    """Satisfies `real.contract.robot.Robot`, with the sensors and commands of its wire."""

    _open: ClassVar[set[RosbridgeRobot]] = set()
    _open_lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, settings: RosbridgeSettings, wire: MakeWire, manifest: Manifest) -> None:
        """`wire` is the kind of robot (real.robots.wires), `manifest` gives its joints."""
        self.name = settings.name
        self.writer = f"{settings.name}-{uuid.uuid4().hex[:8]}"
        self._settings = settings
        self._wire = wire(manifest, settings.namespace, settings.ros_version, settings.pairing_tolerance)
        self._link: RosbridgeLink | None = None
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._offset = ClockOffset()
        self._reading: RobotReading | None = None
        self._status: tuple[StatusSample, float] | None = None
        self._faults: Counter[str] = Counter()
        self._other_writers = 0
        self._sequence = 0
        self._pending: tuple[dict[str, Any], float] | None = None
        self._released = False

    @property
    def offer(self) -> Offer:
        """The offer of its kind of robot."""
        return self._wire.offer

    @property
    def user_goal(self) -> tuple[Array, float] | None:
        """The newest goal on a topic of the robot's kind, such as /cmd_vel."""
        return self._wire.user_goal

    def connect(self, timeout: float) -> None:
        """Connect, and wait for the first reading and the first status; ConnectionError after `timeout` s."""
        if self._link is not None:
            raise RuntimeError("connect is called once; make a new driver to connect again")
        deadline = time.monotonic() + timeout
        with self._open_lock:
            self._open.add(self)
            self._link = RosbridgeLink(self._settings, self._wire, self._callbacks())
        with self._lock:
            while self._reading is None or self._status is None:
                rest = deadline - time.monotonic()
                if rest <= 0.0:
                    break
                self._arrived.wait(rest)
            reading, status, apart = self._reading, self._status, self._wire.apart
        if reading is None or status is None:
            connected = self._link.connected
            faults = ", ".join(f"{cause} {number} times" for cause, number in self._faults.items())
            self.close()
            raise ConnectionError(self._failure(timeout, connected, reading is None, faults, apart))

    def arm(self) -> None:
        """Ask the robot to obey commands again after its fail-safe; it grants this at rest on the ground only."""
        self._request("arm")

    def read(self) -> RobotReading | None:
        """The newest reading, or None before the first."""
        return self._reading

    def link(self) -> LinkStatus:
        """The link as of now."""
        now = time.monotonic()
        with self._lock:
            status = self._status
            age, values, state = math.inf, {}, ""
            if status is not None:
                values, state = status[0].values, status[0].state
                # A delayed status does not show that the robot is alive now.
                age = max(now - status[1], self._offset.age(status[0].stamp * 1e-9, now))
            return LinkStatus(
                connected=self._link is not None and self._link.connected,
                heartbeat_age=age,
                owner=values.get("owner", ""),
                robot_state=state,
                rejected=_count(values.get("rejected", "")),
                other_writers=self._other_writers,
                boot=values.get("boot", ""),
                gains=_gains(values),
                faults=dict(self._faults),
                cause=values.get("cause", ""),
            )

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        """Send a command; raises LinkDown when the link is down, `reading` is older than `max_age`, or the robot
        was asked to stop before."""
        if self._link is None or not self._link.connected:
            raise LinkDown(f"not connected to {self._settings.url}")
        now = time.monotonic()
        with self._lock:
            if self._released:
                raise LinkDown("the robot was asked to stop; make a new driver to run it again")
            age = self._offset.age(reading.stamp, now)
            if age > self._settings.max_age:
                raise LinkDown(f"the reading is {age:.3f} s old, the limit is {self._settings.max_age} s")
            self._sequence += 1
            stamp = round(reading.stamp * 1e9)
            message = self._wire.command_message(command, stamp, self.writer, self._sequence)
            waiting = self._pending is not None
            self._pending = (message, now + self._settings.max_age - max(age, 0.0))
        if not waiting:
            self._link.run(self._send_pending)

    def stop(self) -> None:
        """Ask the robot for its own fail-safe, if the link is up; no command leaves after it."""
        self._release("stop")

    def emergency_stop(self) -> None:
        """Ask the robot to cut its actuators, if the link is up; no command leaves after it."""
        self._release("estop")

    def close(self) -> None:
        """Drop the link. The last driver to close ends roslibpy's thread; a later one starts it anew."""
        with self._open_lock:
            self._open.discard(self)
            last = not self._open
        if self._link is not None:
            self._link.close(last)

    def _release(self, request: str) -> None:
        with self._lock:
            # A waiting command must not be sent after the release.
            self._released, self._pending = True, None
        self._request(request)

    def _request(self, request: str) -> None:
        link = self._link
        if link is not None and link.connected:
            message = messages.stop_message(self.writer, request)
            link.run(lambda: link.publish(self._wire.stop, message))

    def _failure(self, timeout: float, connected: bool, no_reading: bool, faults: str, apart: float | None) -> str:
        if not connected:
            hint = "is a bridge running there (robo-rl bridge), and are token and ca_file right?"
            return f"no connection to {self._settings.url} within {timeout:g} s: {hint}"
        missing = " and ".join(self._wire.readings) if no_reading else self._wire.status
        hint = f"is the robot running ({self._wire.started_by})?"
        if no_reading and apart is not None:
            allowed = 1e3 * self._settings.pairing_tolerance
            wider = "raise --pairing-tolerance, " if apart <= WIDEST_PAIRING else ""
            hint = (
                f"both arrive, but their newest stamps are {1e3 * apart:.1f} ms apart, and {allowed:g} ms are allowed; "
                f"stamp both by one clock, {wider}or give --stamps arrival"
            )
        elif faults:
            unstamped = "; --stamps arrival does without stamps" if "zero stamp" in faults else ""
            hint = f"dropped messages: {faults}{unstamped}"
        return f"connected to {self._settings.url}, but nothing usable on {missing} within {timeout:g} s: {hint}"

    # The callbacks below run on roslibpy's event loop: they store the newest message and return.

    def _callbacks(self) -> dict[str, Callable[[Any], None]]:
        subscribed = {topic: partial(self._on_reading, topic, what) for topic, what in self._wire.subscribed.items()}
        return {**subscribed, self._wire.status: self._on_status, self._wire.command: self._on_command}

    def _send_pending(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, None
        if pending is not None and self._link is not None and time.monotonic() <= pending[1]:
            self._link.publish(self._wire.command, pending[0])

    def _on_reading(self, topic: str, what: str, message: Any) -> None:
        received = time.monotonic()
        with self._lock:
            try:
                if topic in self._wire.readings:
                    message = self._stamped(message, received)
                taken = self._wire.take(topic, message, received)
            except MalformedMessage as error:
                self._faults[f"{what}: {error.cause}"] += 1
                return
            if taken is None:
                return
            self._offset.observe(taken.stamp * 1e-9, received)
            if taken.sensors is not None:
                sequence = 1 if self._reading is None else self._reading.sequence + 1
                self._reading = RobotReading(taken.sensors, taken.stamp * 1e-9, received, sequence)
                self._arrived.notify_all()

    def _stamped(self, message: Any, received: float) -> Any:
        """The message with the stamp that counts; MalformedMessage for one without, where the robot's own counts."""
        version = self._settings.ros_version
        if self._settings.stamps == "arrival":
            return messages.with_stamp(message, round(received * 1e9), version)
        if messages.unstamped(message, version):
            raise MalformedMessage("zero stamp", "header.stamp")
        return message

    def _on_status(self, message: Any) -> None:
        received = time.monotonic()
        with self._lock:
            try:
                status = messages.parse_status(self._stamped(message, received), self._settings.ros_version)
            except MalformedMessage as error:
                self._faults[f"status: {error.cause}"] += 1
                return
            if self._status is None or status.stamp > self._status[0].stamp:
                self._status = (status, received)
                self._arrived.notify_all()

    def _on_command(self, message: Any) -> None:
        try:
            writer, _ = messages.sender(message)
        except MalformedMessage:
            writer = ""  # Such a message is never ours, so another writer sent it.
        if writer != self.writer:
            with self._lock:
                self._other_writers += 1


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _gains(values: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Joint -> stiffness and damping, of a status's lists of words; none where the lists don't fit each other."""
    names = values.get("joints", "").split()
    try:
        stiffness, damping = ([float(word) for word in values.get(key, "").split()] for key in ("stiffness", "damping"))
    except ValueError:
        return {}
    if not len(names) == len(stiffness) == len(damping):
        return {}
    return dict(zip(names, zip(stiffness, damping, strict=True), strict=True))
