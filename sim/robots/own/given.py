"""The values of a spec: names, numbers for each joint and numbers alone, checked against the robot's file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policies.errors import UserError
from sim.robots.own.files import near

LIMITS = ("joint_low", "joint_high")


class Given:
    """A robot's spec; `joints` and `every` are to be set once the joints are known: the policy's, and the file's."""

    def __init__(self, document: Mapping[str, Any], what: str) -> None:
        self.document, self.what = document, what
        self.joints: Sequence[str] = ()
        self.every: Sequence[str] = ()

    def names(self, field: str, known: Sequence[str]) -> list[str]:
        """A list of names that the file has, empty if the spec has none; lists in it are joined."""
        names = self.document.get(field) or []
        if isinstance(names, list):
            names = [name for one in names for name in (one if isinstance(one, list) else [one])]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{self.what}: {field} must be a list of names, got {names!r}")
        missing = [name for name in names if name not in known]
        if missing:
            raise UserError(
                f"{self.what}: the MJCF has no {', '.join(missing)} for {field}; {near(missing[0], known)}"
            )  # fmt: skip
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"{self.what}: {field} names {', '.join(twice)} twice")
        return names

    def has(self, field: str, joint: str) -> bool:
        """Whether the spec has a value of `field` for the joint."""
        given = self.document.get(field)
        if isinstance(given, Mapping):
            return any(str(key) in joint for key in given)
        return given is not None

    def value(self, field: str, joint: str) -> Any:
        """The value under the longest key that is part of the joint's name; None without."""
        given = self.document.get(field)
        if not isinstance(given, Mapping):
            return None
        keys = sorted((key for key in given if str(key) in joint), key=lambda key: -len(str(key)))
        return given[keys[0]] if keys else None

    def values(self, field: str, derived: Callable[[str], float | None]) -> tuple[float, ...]:
        """One number per joint: from the spec as a number, a list in the joints' order or a mapping by joint name (or
        by a part of it), else derived."""
        given, joints = self.document.get(field), self.joints
        found: list[Any]
        if isinstance(given, list):
            if len(given) != len(joints):
                raise UserError(f"{self.what}: {field} needs {len(joints)} values, one per joint, got {len(given)}")
            found = given
        elif isinstance(given, Mapping):
            self._check_keys(field, given)
            found = [self.value(field, joint) if self.has(field, joint) else derived(joint) for joint in joints]
        else:
            found = [derived(joint) if given is None else given for joint in joints]
        lacking = [joint for joint, value in zip(joints, found, strict=True) if value is None]
        if lacking:
            example = f"{field}: VALUE, [VALUES] or {{{lacking[0]}: VALUE}}"
            example += ", and joint_high likewise," if field == LIMITS[0] and LIMITS[1] not in self.document else ""
            hint = "; without stops a turn or two will do, such as -6.3 to 6.3" if field in LIMITS else ""
            raise UserError(
                f"{self.what}: its file gives no {field} of {', '.join(lacking)}; add {example} to the spec{hint}"
            )
        return tuple(self.number(field, value) for value in found)

    def number(self, field: str, value: Any) -> float:
        """A number; YAML reads those such as 4e1 as text."""
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            raise UserError(f"{self.what}: {field} must hold numbers, got {value!r}")
        return number

    def _check_keys(self, field: str, given: Mapping[Any, Any]) -> None:
        unused = [str(key) for key in given if not any(str(key) in joint for joint in self.every)]
        if unused:
            parts = [part for joint in self.every for part in joint.split("_")]
            known = list(dict.fromkeys([*parts, *self.every]))
            hints = " ".join(sorted({near(key, known) for key in unused}))
            raise UserError(f"{self.what}: {field} has {', '.join(unused)}, which is in no joint's name; {hints}")
