"""The serial link's frames and messages, as docs/firmware.md describes them: bytes to named values and back.

A frame on the wire is COBS(payload) and a zero byte. The payload is type u8, body length u8, sequence u16, the body,
and a CRC-16 over everything before it; numbers are little endian, floats IEEE 754 single precision.
COBS: S. Cheshire and M. Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7 (1999).
"""

from __future__ import annotations

import binascii
import math
import struct
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag
from typing import ClassVar, Protocol

MAX_BODY = 96
"""Longest body in bytes."""
_HEADER, _CHECK = struct.Struct("<BBH"), struct.Struct("<H")
_MAX_PAYLOAD = _HEADER.size + MAX_BODY + _CHECK.size
_MAX_ENCODED = _MAX_PAYLOAD + 1  # COBS adds one byte to every 254.
LINK_VERSION = 1

Vector = tuple[float, float, float]


class FrameError(ValueError):
    """Bytes that are not a whole frame, or a body that is not its type's."""


class ChipState(IntEnum):
    """What the chip does."""

    IDLE = 0
    """Safe outputs; needs to be armed."""
    READY = 1
    """Armed, with safe outputs until the first setpoint."""
    FLYING = 2
    FAILSAFE = 3
    """Its own descent."""
    LANDED = 4
    """Safe outputs; needs to be armed."""
    ESTOPPED = 5
    """Safe outputs at once; needs to be armed."""
    REFUSED = 6
    """The self-test at boot failed: safe outputs until the next boot."""


class ChipFault(IntFlag):
    """Why the chip acted on its own."""

    WATCHDOG = 1
    BAD_SENSOR = 2
    TILT = 4
    SETPOINT_REFUSED = 8
    SELF_TEST = 16
    RATE_LIMITED = 32
    GEOFENCE = 64
    POSITION_ERROR = 128
    SPEED = 256


class Ask(IntEnum):
    """What a request asks for."""

    ARM = 1
    STOP = 2
    """The chip's own fail-safe."""
    EMERGENCY_STOP = 3


class Message(Protocol):
    """A body of one type."""

    TYPE: ClassVar[int]

    def pack(self) -> bytes:
        """The body; FrameError for values that must not be sent."""


@dataclass(frozen=True)
class Heartbeat:
    """The host is alive; its clock in ms, modulo 2^32."""

    TYPE: ClassVar[int] = 0x01
    host_ms: int

    def pack(self) -> bytes:
        return struct.pack("<I", self.host_ms)


@dataclass(frozen=True)
class Setpoint:
    """Where to fly: m and m/s along the world's axes, and the host's clock in ms, modulo 2^32."""

    TYPE: ClassVar[int] = 0x02
    position: Vector
    velocity: Vector
    host_ms: int

    def pack(self) -> bytes:
        try:
            body = struct.pack("<6fI", *self.position, *self.velocity, self.host_ms)
        except OverflowError:  # A value beyond single precision.
            body = b""
        if not body or not all(map(math.isfinite, (*self.position, *self.velocity))):
            raise FrameError(f"a setpoint must be finite, got {self.position} m, {self.velocity} m/s")
        return body


@dataclass(frozen=True)
class Request:
    """An action at once, independent of the setpoint."""

    TYPE: ClassVar[int] = 0x03
    what: Ask

    def pack(self) -> bytes:
        return struct.pack("<B", self.what)


@dataclass(frozen=True)
class Hello:
    """Asks for an `Info`."""

    TYPE: ClassVar[int] = 0x04

    def pack(self) -> bytes:
        return b""


@dataclass(frozen=True)
class Status:
    """The chip's status, 20 times a second. `time_us` since its boot, modulo 2^32; `last_sequence` of the
    newest host frame accepted, `silence_ms` since then; counts modulo 2^16."""

    TYPE: ClassVar[int] = 0x81
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBHIIHHHH")
    state: int
    policy_status: int
    faults: int
    boot_id: int
    time_us: int
    last_sequence: int
    rejected: int
    bad_frames: int
    silence_ms: int

    def pack(self) -> bytes:
        return self.FORMAT.pack(*astuple(self))


@dataclass(frozen=True)
class Odometry:
    """The chip's state estimate and its command: m, w x y z, m/s (world), rad/s (body), the command's own
    unit. `time_us` as in `Status`."""

    TYPE: ClassVar[int] = 0x82
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<I17f")
    time_us: int
    position: Vector
    orientation: tuple[float, float, float, float]
    linear_velocity: Vector
    angular_velocity: Vector
    command: tuple[float, float, float, float]

    def pack(self) -> bytes:
        values = (*self.position, *self.orientation, *self.linear_velocity, *self.angular_velocity, *self.command)
        return self.FORMAT.pack(self.time_us, *values)


@dataclass(frozen=True)
class Info:
    """Which policy the chip flies: the first 32 bits of its SHA-256, the manifest's schema, the control period in us,
    the calls in a period, and the version of the link."""

    TYPE: ClassVar[int] = 0x83
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<5I")
    model_word: int
    schema: int
    period_us: int
    substeps: int
    link_version: int = LINK_VERSION

    def pack(self) -> bytes:
        return self.FORMAT.pack(*astuple(self))


FromChip = Status | Odometry | Info


@dataclass(frozen=True)
class Frame:
    """A complete frame."""

    type: int
    sequence: int
    body: bytes

    def from_chip(self) -> FromChip:
        """The chip's message in it. Raises FrameError for another type or length."""
        size = {kind.TYPE: kind.FORMAT.size for kind in (Status, Odometry, Info)}.get(self.type)
        if size != len(self.body):
            raise FrameError(f"type 0x{self.type:02x} with a body of {len(self.body)} bytes, expected {size}")
        if self.type == Status.TYPE:
            return Status(*Status.FORMAT.unpack(self.body))
        if self.type == Info.TYPE:
            return Info(*Info.FORMAT.unpack(self.body))
        time_us, *v = Odometry.FORMAT.unpack(self.body)
        return Odometry(time_us, *(tuple(v[a:b]) for a, b in ((0, 3), (3, 7), (7, 10), (10, 13), (13, 17))))


def encode(message: Message, sequence: int) -> bytes:
    """`message` as it goes over the wire, its closing zero included; `sequence` modulo 2^16."""
    body = message.pack()
    content = _HEADER.pack(message.TYPE, len(body), sequence & 0xFFFF) + body
    return cobs_encode(content + _CHECK.pack(crc16(content))) + b"\0"


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021 from 0xFFFF, nothing reflected; 0x29B1 for "123456789"."""
    return binascii.crc_hqx(data, 0xFFFF)


def cobs_encode(data: bytes) -> bytes:
    """`data` without a zero byte."""
    encoded = bytearray()
    for part in data.split(b"\0"):
        while len(part) >= 254:
            encoded += b"\xff" + part[:254]
            part = part[254:]
        encoded += bytes((len(part) + 1,)) + part
    return bytes(encoded)


def cobs_decode(data: bytes) -> bytes:
    """The inverse of `cobs_encode`. Raises FrameError for bytes that it never returns."""
    decoded, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        part = data[at + 1 : at + code]
        if code == 0 or len(part) != code - 1 or 0 in part:
            raise FrameError("the stuffing does not hold")
        decoded += part
        at += code
        if code < 255 and at < len(data):
            decoded.append(0)
    return bytes(decoded)


def decode(encoded: bytes) -> Frame:
    """The frame of the bytes between two zeros. Raises FrameError when they are damaged."""
    payload = cobs_decode(encoded)
    if not _HEADER.size + _CHECK.size <= len(payload) <= _MAX_PAYLOAD:
        raise FrameError(f"a payload of {len(payload)} bytes")
    content, (check,) = payload[: -_CHECK.size], _CHECK.unpack(payload[-_CHECK.size :])
    kind, length, sequence = _HEADER.unpack(content[: _HEADER.size])
    if crc16(content) != check:
        raise FrameError("the checksum does not hold")
    if length != len(content) - _HEADER.size:
        raise FrameError("the length does not hold")
    return Frame(kind, sequence, content[_HEADER.size :])


class Decoder:
    """Frames of a stream that may begin anywhere and hold anything; it keeps at most a frame's length of bytes."""

    def __init__(self) -> None:
        self.bad = 0
        """Frames that were damaged or cut, and runs of bytes too long for one."""
        self._kept = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[Frame]:
        """The whole frames that end in `data`; never raises."""
        frames = []
        *ended, rest = data.split(b"\0")
        for part in ended:
            self._keep(part)
            # An empty frame is not an error: a sender may put a zero before a frame, too.
            if self._kept and not self._skipping:
                try:
                    frames.append(decode(bytes(self._kept)))
                except FrameError:
                    self.bad += 1
            self._kept.clear()
            self._skipping = False
        self._keep(rest)
        return frames

    def _keep(self, part: bytes) -> None:
        if self._skipping:
            return
        if len(self._kept) + len(part) > _MAX_ENCODED:
            self.bad += 1
            self._kept.clear()
            self._skipping = True
            return
        self._kept += part
