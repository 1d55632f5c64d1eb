"""The host's messages as a chip reads them: what `Frame.from_chip` does for the other direction."""

from __future__ import annotations

import struct

from real.robots.serial_frames import Ask, Frame, FrameError, Heartbeat, Hello, Request, Setpoint

FromHost = Heartbeat | Setpoint | Request | Hello
_SIZES = {Heartbeat.TYPE: 4, Setpoint.TYPE: 28, Request.TYPE: 1, Hello.TYPE: 0}


def from_host(frame: Frame) -> FromHost:
    """The host's message in `frame`. Raises FrameError for another type, length or request."""
    if _SIZES.get(frame.type) != len(frame.body):
        raise FrameError(f"no message of a host: type 0x{frame.type:02x} with {len(frame.body)} bytes")
    if frame.type == Heartbeat.TYPE:
        return Heartbeat(*struct.unpack("<I", frame.body))
    if frame.type == Setpoint.TYPE:
        x, y, z, vx, vy, vz, host_ms = struct.unpack("<6fI", frame.body)
        return Setpoint((x, y, z), (vx, vy, vz), host_ms)
    if frame.type == Hello.TYPE:
        return Hello()
    if frame.body[0] not in tuple(Ask):
        raise FrameError(f"request {frame.body[0]} is unknown")
    return Request(Ask(frame.body[0]))
