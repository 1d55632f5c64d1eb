"""What differs between ROS 1 and ROS 2 in a rosbridge message: the spelling of types and the fields of a stamp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from policies.errors import UserError

RosVersion = Literal[1, 2]
NANOSECONDS = 1_000_000_000
_STAMP_FIELDS: dict[int, tuple[str, str]] = {1: ("secs", "nsecs"), 2: ("sec", "nanosec")}


def check_version(version: int) -> None:
    """Raise UserError unless `version` is 1 or 2."""
    if version not in _STAMP_FIELDS:
        raise UserError(f"ros_version is {version}, expected 1 or 2")


def type_name(kind: str, version: RosVersion) -> str:
    """Spell `package/Type` as the ROS version does: ROS 2 says `package/msg/Type`."""
    package, name = kind.split("/")
    return f"{package}/{name}" if version == 1 else f"{package}/msg/{name}"


def plain_type(spelled: str, version: RosVersion) -> str:
    """`package/Type` of a type as a client spelled it, or "" where a server of this version refuses the spelling.

    A ROS 2 server takes both spellings, a ROS 1 server only `package/Type`.
    """
    parts = spelled.split("/")
    if len(parts) == 3 and version == 2 and parts[1] == "msg":
        parts = [parts[0], parts[2]]
    return "/".join(parts) if len(parts) == 2 and all(parts) else ""


def stamp_message(nanoseconds: int, version: RosVersion) -> dict[str, int]:
    """A ROS time of integer nanoseconds."""
    whole, part = _STAMP_FIELDS[version]
    return {whole: nanoseconds // NANOSECONDS, part: nanoseconds % NANOSECONDS}


def stamp_nanoseconds(stamp: object, version: RosVersion) -> int | None:
    """Integer nanoseconds of a ROS time, or None where its fields are missing, of the wrong type or out of range."""
    whole, part = _STAMP_FIELDS[version]
    if not isinstance(stamp, Mapping) or type(stamp.get(whole)) is not int or type(stamp.get(part)) is not int:
        return None
    seconds, rest = stamp[whole], stamp[part]
    return seconds * NANOSECONDS + rest if 0 <= seconds < 2**32 and 0 <= rest < NANOSECONDS else None


def header_message(nanoseconds: int, frame_id: str, version: RosVersion, sequence: int = 0) -> dict[str, Any]:
    """A std_msgs/Header; only ROS 1 has `seq`."""
    header: dict[str, Any] = {"stamp": stamp_message(nanoseconds, version), "frame_id": frame_id}
    if version == 1:
        header["seq"] = sequence % 2**32
    return header
