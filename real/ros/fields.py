"""Fields of ROS messages as JSON: read, with a cause for what does not fit, and written."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from real.ros.version import RosVersion, stamp_nanoseconds

Array = NDArray[np.float64]

_UNIT_TOLERANCE = 0.02  # A healthy estimator reports a unit quaternion; its noise stays far below this.


class MalformedMessage(ValueError):
    """A message that can't be used. `cause` is one of a few fixed words, so that causes can be counted."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause


def xyz(v: Array) -> dict[str, float]:
    """A geometry_msgs/Vector3 or Point of [3]."""
    return {"x": float(v[0]), "y": float(v[1]), "z": float(v[2])}


def xyzw(q: Array) -> dict[str, float]:
    """A geometry_msgs/Quaternion of a quaternion w, x, y, z."""
    return {"x": float(q[1]), "y": float(q[2]), "z": float(q[3]), "w": float(q[0])}


def at(message: object, *path: str) -> object:
    """The value at `path` in a message; raises MalformedMessage where there is none."""
    value = message
    for name in path:
        if not isinstance(value, Mapping):
            raise MalformedMessage("null" if value is None else "wrong type", f"{'.'.join(path)}: no object there")
        if name not in value:
            raise MalformedMessage("missing field", ".".join(path))
        value = value[name]
    return value


def number(value: object, what: str, finite: bool = True) -> float:
    """A JSON number as a float; raises MalformedMessage for anything else, and if `finite` for what is not finite."""
    if value is None:
        raise MalformedMessage("null", what)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedMessage("wrong type", f"{what} is {type(value).__name__}")
    try:
        result = float(value)
    except OverflowError:  # JSON knows integers beyond any float.
        result = math.inf
    if finite and not math.isfinite(result):
        raise MalformedMessage("non-finite", what)
    return result


def vector(value: object, what: str) -> Array:
    """[3] of an object with x, y and z."""
    if isinstance(value, list):
        raise MalformedMessage("wrong type", f"{what} is a list")
    return np.array([number(at(value, axis), f"{what}.{axis}") for axis in "xyz"])


def quaternion(value: object) -> Array:
    """A unit quaternion w, x, y, z of an object with x, y, z and w."""
    q = np.array([number(at(value, axis), f"orientation.{axis}") for axis in "wxyz"])
    norm = float(np.linalg.norm(q))
    if abs(norm - 1.0) > _UNIT_TOLERANCE:
        raise MalformedMessage("not unit", f"orientation has norm {norm:.3g}")
    return q / norm


def stamp_of(message: object, version: RosVersion) -> int:
    """The header's stamp in ns."""
    stamp = stamp_nanoseconds(at(message, "header", "stamp"), version)
    if stamp is None:
        raise MalformedMessage("bad stamp", "header.stamp")
    return stamp
