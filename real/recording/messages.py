"""The messages of a flight's recording: their topics, JSON schemas and encoding, and a reader for them.

A recording is an MCAP file (https://mcap.dev) of JSON messages. Poses and events use Foxglove's own schemas by name
(https://docs.foxglove.dev/docs/sdk/schemas), so that its 3D and log panels show them; the rest plots by path, such as
`/command.sent.rotor_speed[0]`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader

from real.contract.goal import Goal, Target
from real.contract.robot import Array, LinkStatus, RobotReading
from real.recording.plain import plain

WORLD = "world"

_NUMBER = {"type": ["number", "null"]}
_TIME = {
    "type": "object",
    "title": "time",
    "properties": {"sec": {"type": "integer", "minimum": 0}, "nsec": {"type": "integer", "minimum": 0}},
}
_CHANNELS = {"type": "object", "additionalProperties": {"type": "array", "items": _NUMBER}}


def _object(title: str, **properties: Any) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": {"timestamp": _TIME, **properties}}


def _numbers(names: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(names, _NUMBER)}


_POSE = _object(
    "foxglove.PoseInFrame",
    frame_id={"type": "string"},
    pose={"type": "object", "properties": {"position": _numbers("xyz"), "orientation": _numbers("xyzw")}},
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "/pose": _POSE,
    "/target": _POSE,
    "/goal": _object("robo_rl.Goal", goal=_CHANNELS),
    "/events": _object(
        "foxglove.Log",
        level={"type": "integer", "description": "1 debug, 2 info, 3 warning, 4 error, 5 fatal"},
        message={"type": "string"},
        name={"type": "string"},
        file={"type": "string"},
        line={"type": "integer"},
    ),
    "/state": _object("robo_rl.State", state={"type": "string"}, cause={"type": "string"}),
    "/sensors": _object(
        "robo_rl.Sensors", stamp=_NUMBER, sequence={"type": "integer"}, age_ms=_NUMBER, sensors=_CHANNELS
    ),
    "/command": _object("robo_rl.Command", sent=_CHANNELS, wanted=_CHANNELS, age_ms=_NUMBER),
    "/timing": _object("robo_rl.Timing", late_ms=_NUMBER, work_ms=_NUMBER, skipped={"type": "integer"}),
    "/link": _object(
        "robo_rl.Link",
        connected={"type": "boolean"},
        heartbeat_age=_NUMBER,
        owner={"type": "string"},
        robot_state={"type": "string"},
        cause={"type": "string"},
        rejected={"type": "integer"},
        other_writers={"type": "integer"},
        boot={"type": "string"},
        faults={"type": "object", "additionalProperties": {"type": "integer"}},
    ),
}  # fmt: skip
"""The JSON schema of every topic; its title is the schema's name in the file."""

Message = tuple[str, float, dict[str, Any]]
"""A topic, the time in s of the host's monotonic clock, and the content without its timestamp."""


@dataclass(frozen=True, slots=True)
class TickRecord:
    """What one tick of the loop read and sent; the recorder's thread encodes it, so nothing in it changes later.

    Times in s: `began` on the monotonic clock, `late` after it was due, `work` from its beginning to the command's end.
    """

    began: float
    late: float
    work: float
    skipped: int
    link: LinkStatus
    goal: Goal
    reading: RobotReading | None = None
    input_age: float = math.inf
    command_age: float = math.inf
    sent: Mapping[str, Array] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=dict)

    def messages(self) -> Iterator[Message]:
        """The messages of this tick."""
        if self.reading is not None:
            sensors = self.reading.sensors
            if "position" in sensors:
                yield "/pose", self.began, _pose(sensors["position"], sensors["orientation"])
            yield (
                "/sensors",
                self.began,
                {
                    "stamp": self.reading.stamp,
                    "sequence": self.reading.sequence,
                    "age_ms": 1e3 * self.input_age,
                    "sensors": sensors,
                },
            )
        if isinstance(self.goal, Target):
            yield "/target", self.began, _pose(self.goal.position, (1.0, 0.0, 0.0, 0.0))
        else:
            yield "/goal", self.began, {"goal": self.goal.sensors}
        if self.sent or self.wanted:
            content = {"sent": self.sent, "wanted": self.wanted, "age_ms": 1e3 * self.command_age}
            yield "/command", self.began, content
        yield "/timing", self.began, {"late_ms": 1e3 * self.late, "work_ms": 1e3 * self.work, "skipped": self.skipped}
        link = {name: getattr(self.link, name) for name in self.link.__dataclass_fields__ if name != "gains"}
        yield "/link", self.began, link


def log_message(time: float, level: int, message: str) -> Message:
    """A line for Foxglove's log panel; levels as in the schema."""
    return "/events", time, {"level": level, "message": message, "name": "robo-rl", "file": "", "line": 0}


def state_message(time: float, state: str, cause: str) -> Message:
    """The state from `time` on, and what led to it."""
    return "/state", time, {"state": state, "cause": cause}


def encode(content: Mapping[str, Any], nanoseconds: int) -> bytes:
    """JSON of one message with its timestamp (Unix time); numbers that are not finite become null, since
    JSON has none."""
    stamped = {"timestamp": {"sec": nanoseconds // 10**9, "nsec": nanoseconds % 10**9}, **content}
    return json.dumps(plain(stamped), allow_nan=False, separators=(",", ":")).encode()


def read_recording(path: Path) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    """Every message of a recording by topic, as (Unix time in s, content), in the order written.

    A recording that was cut off is read up to the cut. Raises ValueError when the file is not a recording.
    """
    topics: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    with path.open("rb") as stream:
        try:
            for _schema, channel, message in NonSeekingReader(stream).iter_messages(log_time_order=False):
                topics.setdefault(channel.topic, []).append((1e-9 * message.log_time, json.loads(message.data)))
        except (McapError, EOFError, struct.error) as error:
            # The reader raises struct.error where the cut falls inside a record's length.
            if not topics:
                raise ValueError(f"{path} is not a readable recording: {error}") from None
    return topics


def _pose(position: Any, orientation: Any) -> dict[str, Any]:
    x, y, z = (float(v) for v in position)
    qw, qx, qy, qz = (float(v) for v in orientation)
    pose = {"position": {"x": x, "y": y, "z": z}, "orientation": {"x": qx, "y": qy, "z": qz, "w": qw}}
    return {"frame_id": WORLD, "pose": pose}
