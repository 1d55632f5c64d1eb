"""How a ROS server handles a published JSON message: it fills missing fields, and refuses what does not fit the type.

An unknown field, a wrong type or a null for a number makes the server drop the whole message silently. Here the refusal
is an exception, so that a test or a log has the cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from real.ros.definitions import Field, fields_of
from real.ros.version import RosVersion, stamp_message, stamp_nanoseconds

_FLOATS = frozenset({"float32", "float64"})
_RANGES = {"uint8": (0, 255), "uint16": (0, 65535), "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}


class MessageMismatch(ValueError):
    """A message does not fit its type; the text names the field and what was found."""


def conform(kind: str, message: object, version: RosVersion, now: int) -> dict[str, Any]:
    """`message` as a ROS node would receive it: every field present, every number of its type.

    `now` is the server's time in integer nanoseconds: a header without a stamp gets it, which makes a stale message
    look fresh. Not-a-number passes, as ROS lets it.

    Raises:
        MessageMismatch: Unknown field, wrong type, null, number out of the type's range, or wrong list length.
        KeyError: `kind` is not a defined type.
    """
    return _object(kind, message, version, now, kind)


def _object(kind: str, message: object, version: RosVersion, now: int, path: str) -> dict[str, Any]:
    fields = fields_of(kind, version)
    if not isinstance(message, Mapping):
        raise MessageMismatch(f"{path} is {_found(message)}, expected an object")
    unknown = message.keys() - fields.keys()
    if unknown:
        raise MessageMismatch(f"{path} has no field {', '.join(sorted(map(str, unknown)))}")
    result = {}
    for name, field in fields.items():
        if name in message:
            result[name] = _value(field, message[name], version, now, f"{path}.{name}")
        else:
            result[name] = default(field, version)
    if kind == "std_msgs/Header" and stamp_nanoseconds(message.get("stamp"), version) is None:
        result["stamp"] = stamp_message(now, version)
    return result


def default(field: Field, version: RosVersion) -> Any:
    """The value of a field that is not set: zeros, empty strings and empty lists, objects of the same."""
    if field.length is not None:
        return [default(Field(field.name, field.kind, None), version) for _ in range(max(field.length, 0))]
    if field.kind == "time":
        return stamp_message(0, version)
    if "/" in field.kind:
        return {name: default(inner, version) for name, inner in fields_of(field.kind, version).items()}
    return {"string": "", "bool": False}.get(field.kind, 0.0 if field.kind in _FLOATS else 0)


def _value(field: Field, value: object, version: RosVersion, now: int, path: str) -> Any:
    if field.length is None:
        return _single(field.kind, value, version, now, path)
    if not isinstance(value, list):
        raise MessageMismatch(f"{path} is {_found(value)}, expected a list")
    if field.length >= 0 and len(value) != field.length:
        raise MessageMismatch(f"{path} has {len(value)} values, expected {field.length}")
    if field.kind in _FLOATS and all(type(item) is float for item in value):
        return value  # The common case: covariances and joint vectors go through without a call for each value.
    return [_single(field.kind, item, version, now, path) for item in value]


def _single(kind: str, value: object, version: RosVersion, now: int, path: str) -> Any:
    if kind in _FLOATS:
        if type(value) is float:
            return value
        if type(value) is int and abs(value) < 2**1023:
            return float(value)
    elif kind in _RANGES:
        low, high = _RANGES[kind]
        if type(value) is int and low <= value <= high:
            return value
    elif kind == "string":
        if isinstance(value, str):
            return value
    elif kind == "bool":
        if isinstance(value, bool):
            return value
    elif kind == "time":
        if isinstance(value, Mapping):
            return stamp_message(stamp_nanoseconds(value, version) or 0, version)
    else:
        return _object(kind, value, version, now, path)
    raise MessageMismatch(f"{path} is {_found(value)}, expected {kind}")


def without_nan(value: Any) -> Any:
    """A copy with every non-finite number replaced by None: JSON has none, so a server sends null for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return value


def _found(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.40}"
