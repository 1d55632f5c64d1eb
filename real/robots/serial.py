"""A microcontroller that flies the policy itself, reached over a serial link: setpoints out, odometry and status in.

The chip's watchdog must detect a host that hangs. So heartbeats are sent only while the control loop keeps asking this
driver for readings, and none after the chip was asked to stop.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deploy.bundle.manifest import Manifest
from policies.errors import UserError
from real.contract.offer import (
    ANGULAR_VELOCITY,
    LINEAR_VELOCITY,
    MOTORS,
    ORIENTATION,
    POSITION,
    POSITION_TARGET,
    VELOCITY_TARGET,
    Offer,
    Signal,
)
from real.contract.robot import ESTOPPED, FAILSAFE, LANDED, RESTING, Array, LinkDown, LinkStatus, RobotReading
from real.robots.serial_frames import (
    LINK_VERSION,
    Ask,
    ChipFault,
    ChipState,
    FrameError,
    FromChip,
    Heartbeat,
    Hello,
    Info,
    Odometry,
    Request,
    Setpoint,
    Status,
)  # fmt: skip
from real.robots.serial_link import SerialLink
from real.timing.clock_offset import ClockOffset

CHIP_SENSORS = (POSITION, ORIENTATION, LINEAR_VELOCITY, ANGULAR_VELOCITY)
"""The sensors in the chip's odometry, besides its own command."""
CHIP_COMMANDS = (POSITION_TARGET, VELOCITY_TARGET)
HEARTBEAT_PERIOD = 0.04
"""Time in s between heartbeats."""
LOOP_ALIVE = 0.1
"""A control loop that has not asked for this long, in s, counts as hanging: no heartbeats are sent."""
_ODOMETRY = tuple(signal.name for signal in CHIP_SENSORS)
_ASK_AGAIN = 0.2
_HARMLESS = ChipFault.SETPOINT_REFUSED | ChipFault.RATE_LIMITED
_STATES: Mapping[int, str] = {
    ChipState.IDLE: RESTING,
    ChipState.READY: "ready",
    ChipState.FLYING: "flying",
    ChipState.FAILSAFE: FAILSAFE,
    ChipState.LANDED: LANDED,
}


@dataclass(frozen=True)
class SerialSettings:
    """How to reach the chip. Raises UserError, in one line, for a setting that can't hold."""

    port: str = "/dev/ttyACM0"
    """Serial port, or socket://HOST:PORT."""
    baud: int = 921600
    """Baud rate of the port, bit/s, as in the firmware; a USB port accepts any."""
    name: str = "chip"
    """Name of this robot in reports and recordings."""
    max_age: float = 0.1
    """Age in s beyond which a reading is too old to send a setpoint for."""
    reconnect_delay: float = 0.3
    """Time in s between two attempts to open a lost port again."""

    def __post_init__(self) -> None:
        if "://" in self.port and not self.port.startswith("socket://"):
            raise UserError(f"port is {self.port!r}, expected one such as /dev/ttyACM0, or socket://HOST:PORT")
        if not 9600 <= self.baud <= 12_000_000:
            raise UserError(f"baud is {self.baud}, expected 9600 to 12000000 bit/s")
        for field, highest in (("max_age", 1.0), ("reconnect_delay", 10.0)):
            if not 0.0 < getattr(self, field) <= highest:
                raise UserError(f"{field} is {getattr(self, field)} s, expected above 0 and up to {highest:g}")


class SerialRobot:
    """Satisfies `real.contract.robot.Robot`: the sensors `CHIP_SENSORS`, the chip's own command, and `CHIP_COMMANDS`.

    The chip knows one host, so its owner follows from the sequence number that it accepted last.
    """

    user_goal: tuple[Array, float] | None = None

    def __init__(self, settings: SerialSettings, manifest: Manifest) -> None:
        """`manifest` of the bundle that the chip must fly; any other policy is refused."""
        self.name = settings.name
        self.writer = f"{settings.name}-{uuid.uuid4().hex[:8]}"
        self._settings = settings
        self._manifest = manifest
        self._model = int(manifest.identity.policy_sha256[:8], 16)
        own = manifest.commands[0]
        self.offer = Offer((*CHIP_SENSORS, Signal(own.name, own.dim, own.unit, MOTORS)), CHIP_COMMANDS)
        self._link: SerialLink | None = None
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._clock = _ChipClock()
        self._offset = ClockOffset()
        self._info: Info | None = None
        self._reading: RobotReading | None = None
        self._status: tuple[Status, float, float] | None = None
        self._asked = -math.inf
        self._asked_info = -math.inf
        self._beat = -math.inf
        self._released = False

    def connect(self, timeout: float) -> None:
        """Open the port, ask which policy the chip flies, and wait for the first reading and status.

        Raises ConnectionError after `timeout` s, and at once for a port that can't be opened, another policy than the
        bundle's, and a chip whose self-test failed.
        """
        if self._link is not None:
            raise RuntimeError("connect is called once; make a new driver to connect again")
        s = self._settings
        self._link = SerialLink(s.port, s.baud, s.reconnect_delay, self._forget_info, self._take, self._each_round)
        try:
            self._wait_for_chip(timeout)
        except ConnectionError:
            self.close()
            raise

    def arm(self) -> None:
        """Ask the chip to obey setpoints; it decides."""
        if not self._released:
            self._send(Request(Ask.ARM))

    def read(self) -> RobotReading | None:
        """The newest reading, or None before the first."""
        self._asked = time.monotonic()
        return self._reading

    def link(self) -> LinkStatus:
        """The link as of now."""
        now = self._asked = time.monotonic()
        link = self._link
        with self._lock:
            known = self._status
            connected = link is not None and link.connected and self._flies_ours
            if known is None or link is None:
                return LinkStatus(connected, math.inf, "", "", 0, 0)
            status, stamp, received = known
            # A delayed status does not show that the chip is alive now.
            age = max(now - received, self._offset.age(stamp, now))
            faults = link.faults
            if status.bad_frames:
                faults["damaged frame at the chip"] = status.bad_frames
            return LinkStatus(
                connected=connected,
                heartbeat_age=age,
                owner=self.writer if link.is_ours(status.last_sequence) and status.silence_ms < 500 else "",
                robot_state=_STATES.get(status.state, ESTOPPED),
                rejected=status.rejected,
                other_writers=0,
                boot=f"{status.boot_id:08x}",
                faults=faults,
                cause=_words(status.faults),
            )

    def write(self, command: Mapping[str, Array], reading: RobotReading) -> None:
        """Send a setpoint; raises LinkDown when the port is closed or full, `reading` is older than `max_age`, the
        values are not finite, the chip has not confirmed since the port was opened that it flies the bundle's policy,
        or it was asked to stop before."""
        now = self._asked = time.monotonic()
        if self._released:
            raise LinkDown("the chip was asked to stop; make a new driver to fly again")
        if not self._flies_ours:
            raise LinkDown("the chip has not said that it flies the bundle's policy")
        age = self._offset.age(reading.stamp, now)
        if age > self._settings.max_age:
            raise LinkDown(f"the reading is {age:.3f} s old, the limit is {self._settings.max_age} s")
        setpoint = Setpoint(
            _three(command[POSITION_TARGET.name]), _three(command[VELOCITY_TARGET.name]), _milliseconds(now)
        )
        try:
            if not self._send(setpoint):
                raise LinkDown(f"{self._settings.port} is closed or full")
        except FrameError as error:
            raise LinkDown(str(error)) from None

    def stop(self) -> None:
        """Ask the chip for its own fail-safe; no setpoint or heartbeat leaves after it."""
        self._released = True
        self._send(Request(Ask.STOP))

    def emergency_stop(self) -> None:
        """Ask the chip to cut its motors; no setpoint or heartbeat leaves after it."""
        self._released = True
        self._send(Request(Ask.EMERGENCY_STOP))

    def close(self) -> None:
        """Close the port; the chip's watchdog detects the silence."""
        if self._link is not None:
            self._link.close()

    def _send(self, message: Heartbeat | Setpoint | Request | Hello) -> bool:
        return self._link is not None and self._link.send(message)

    @property
    def _flies_ours(self) -> bool:
        info = self._info
        return info is not None and self._mismatch(info) == ""

    def _forget_info(self) -> None:
        """A reopened port may have another chip."""
        self._info, self._asked_info = None, -math.inf

    def _wait_for_chip(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            now = time.monotonic()
            with self._lock:
                if self._info is not None and (wrong := self._mismatch(self._info)):
                    raise ConnectionError(wrong)
                if self._status is not None and self._status[0].state == ChipState.REFUSED:
                    raise ConnectionError(
                        "the chip refuses to fly: its self-test at boot failed; flash the firmware again"
                    )
                if self._info is not None and self._status is not None and self._reading is not None:
                    return
                if now >= deadline:
                    raise ConnectionError(self._failure(timeout))
                self._arrived.wait(min(_ASK_AGAIN, deadline - now))

    def _failure(self, timeout: float) -> str:
        port = self._settings.port
        if self._info is None and self._status is None and self._reading is None:
            return (
                f"nobody answers at {port} within {timeout:g} s: is that the chip's port, and is its baud rate right?"
            )
        parts = (("info", self._info), ("status", self._status), ("odometry", self._reading))
        missing = " and ".join(name for name, value in parts if value is None)
        return f"the chip at {port} sent no {missing} within {timeout:g} s; does its firmware use this link?"

    def _mismatch(self, info: Info) -> str:
        """Why this chip must not be flown with the bundle; "" when it may."""
        if info.link_version != LINK_VERSION:
            return f"the chip uses version {info.link_version} of the link, this robo-rl version {LINK_VERSION}"
        if info.model_word != self._model:
            return (
                f"the chip flies policy {info.model_word:08x}, the bundle is {self._model:08x} "
                f"({self._manifest.identity.name}); flash the bundle's firmware, or name the chip's bundle"
            )
        return ""

    def _take(self, message: FromChip, received: float) -> None:
        with self._lock:
            if isinstance(message, Info):
                self._info = message
            else:
                stamp = self._clock.seconds(message.time_us)
                self._offset.observe(stamp, received)
                if isinstance(message, Status):
                    self._status = (message, stamp, received)
                else:
                    sequence = 1 if self._reading is None else self._reading.sequence + 1
                    self._reading = RobotReading(self._sensors(message), stamp, received, sequence)
            self._arrived.notify_all()

    def _sensors(self, odometry: Odometry) -> dict[str, Array]:
        sensors = {name: np.array(getattr(odometry, name)) for name in _ODOMETRY}
        return sensors | {self._manifest.commands[0].name: np.array(odometry.command)}

    def _each_round(self) -> None:
        now = time.monotonic()
        if self._info is None and now - self._asked_info >= _ASK_AGAIN:
            self._asked_info = now
            self._send(Hello())
        due = now - self._beat >= HEARTBEAT_PERIOD
        if due and now - self._asked < LOOP_ALIVE and not self._released:
            self._beat = now
            self._send(Heartbeat(_milliseconds(now)))


class _ChipClock:
    """The chip's microseconds, which wrap every 71 minutes, as unwrapped seconds."""

    def __init__(self) -> None:
        self._total: int | None = None

    def seconds(self, time_us: int) -> float:
        """Messages may be up to half a wrap apart, and out of order by as much."""
        if self._total is None:
            self._total = time_us
        ahead = (time_us - self._total) & 0xFFFFFFFF
        total = self._total + (ahead if ahead < 1 << 31 else ahead - (1 << 32))
        self._total = max(self._total, total)
        return total * 1e-6


def _milliseconds(now: float) -> int:
    return int(now * 1e3) & 0xFFFFFFFF


def _three(value: Array) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in np.asarray(value).reshape(-1))
    return x, y, z


def _words(faults: int) -> str:
    """Why the chip acted on its own, in words, such as "watchdog, tilt"."""
    acting = (fault for fault in ChipFault if faults & fault and fault not in _HARMLESS)
    return ", ".join((fault.name or "").lower().replace("_", " ") for fault in acting)
