"""Bundles of schema 3, read as schema 4.

Schema 3 had no `kind`, no frames of commands and no optional parts: this module alone derives them. A robot with
position-controlled joints walked, every other one flew.
"""

from __future__ import annotations

from typing import Any

from deploy.bundle.strict_json import JsonError

SCHEMA_3 = 3
_AGES = ("max_input_age", "max_command_age")
_MOTORS = ("stiffness", "damping", "torque_limit")


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """An unsealed document of schema 3 with the fields of schema 4. Raises JsonError for a document that lacks a
    field."""
    try:
        timing, joints = document["timing"], document["joints"]
        names = [] if joints is None else joints["names"]
        return document | {
            "kind": "flight" if joints is None else "velocity",
            "timing": _without(timing, _AGES),
            "safety": {**document["safety"], **{name: timing[name] for name in _AGES}},
            "sensors": [_sensor(entry, names) for entry in document["sensors"]],
            "commands": [entry | {"frame": _frame(entry["labels"], names)} for entry in document["commands"]],
            "joints": None if joints is None else _joints(joints),
        }
    except KeyError as error:
        raise JsonError(f"field {error.args[0]} is missing") from None
    except (TypeError, AttributeError):
        raise JsonError("a field is of another type than schema 3 has") from None


def _sensor(entry: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A sensor of the joints without labels had them in the order of joints.names."""
    unlabelled = not entry["labels"] and entry["name"] in ("joint_position", "joint_velocity")
    return entry | {"labels": names} if unlabelled else entry


def _frame(labels: list[str], names: list[str]) -> str:
    return "joint" if names and set(labels) == set(names) else ""


def _joints(joints: dict[str, Any]) -> dict[str, Any]:
    return _without(joints, _MOTORS) | {"motors": {name: joints[name] for name in _MOTORS}}


def _without(fields: dict[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in left_out}
