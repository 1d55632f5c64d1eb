"""The manifest of a bundle: what a policy needs, gives and may do, in SI units. docs/bundle.md describes every field.

The file seals itself: its last field, `digest`, is the SHA-256 of the file's own bytes with the digest's 64 characters
set to "0", so that any tool can check it with sed and sha256sum, without agreeing on how numbers are printed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from deploy.bundle.strict_json import JsonError, decode, encode, parse
from deploy.errors import BundleError

SCHEMA_VERSION = 3
_NO_DIGEST = "0" * 64
_HEX = frozenset("0123456789abcdef")
_EXPORT_AGAIN = "export the policy again"


@dataclass(frozen=True)
class Identity:
    """Who the policy is; both hashes are SHA-256 in lower-case hexadecimal of the files beside the manifest."""

    name: str
    task: str
    policy_sha256: str
    golden_sha256: str

    def __post_init__(self) -> None:
        _require(bool(self.name), "identity.name is empty, expected the policy's name")
        for field in ("policy_sha256", "golden_sha256"):
            value = getattr(self, field)
            _require(_is_digest(value), f"identity.{field} is {value!r}, expected 64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class Timing:
    """All in s: the control period, the age of the oldest sensor reading to act on, and the age of the oldest reading
    whose command may still reach an actuator."""

    period: float
    max_input_age: float
    max_command_age: float

    def __post_init__(self) -> None:
        for field in ("period", "max_input_age", "max_command_age"):
            value = getattr(self, field)
            _require(value > 0.0, f"timing.{field} is {value}, expected more than 0 s")


@dataclass(frozen=True)
class SensorEntry:
    """One ONNX input [batch, dim]. A healthy sensor stays within low and high; `relative_to` "target" asks the robot
    side to subtract the target first. `labels` name the channels in order where a robot knows them by name, as it does
    joints; empty elsewhere. `rate_limit`, in unit/s, bounds the changes of a goal such as a velocity command; empty for
    what is measured."""

    name: str
    dim: int
    unit: str
    frame: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    relative_to: str
    labels: tuple[str, ...]
    rate_limit: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_signal(f"sensor {self.name!r}", self.name, self.dim, self.low, self.high)
        _require(
            not self.labels or len(self.labels) == self.dim == len(set(self.labels)),
            f"sensor {self.name!r}: labels are {self.labels}, expected none or {self.dim} different names",
        )
        _require(
            self.relative_to in ("", "target"),
            f"sensor {self.name!r}: relative_to is {self.relative_to!r}, expected '' or 'target'",
        )
        _require(
            not self.rate_limit or (len(self.rate_limit) == self.dim and all(rate > 0.0 for rate in self.rate_limit)),
            f"sensor {self.name!r}: rate_limit is {self.rate_limit}, expected none or {self.dim} positive rates",
        )


@dataclass(frozen=True)
class CommandEntry:
    """One ONNX output [batch, dim]. `low` and `high` are hard limits, `rate_limit` is in unit/s, `labels` name the
    channels in order, `safe` is the value of a robot that must do nothing."""

    name: str
    dim: int
    unit: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    rate_limit: float
    labels: tuple[str, ...]
    safe: tuple[float, ...]

    def __post_init__(self) -> None:
        what = f"command {self.name!r}"
        _check_signal(what, self.name, self.dim, self.low, self.high)
        _require(len(self.safe) == self.dim, f"{what}: safe has {len(self.safe)} values, expected {self.dim}")
        inside = all(a <= s <= b for a, s, b in zip(self.low, self.safe, self.high, strict=True))
        _require(inside, f"{what}: safe {self.safe} lies outside its limits")
        _require(self.rate_limit > 0.0, f"{what}: rate_limit is {self.rate_limit}, expected more than 0 {self.unit}/s")
        _require(
            len(self.labels) == self.dim and len(set(self.labels)) == self.dim,
            f"{what}: labels are {self.labels}, expected {self.dim} different names",
        )


@dataclass(frozen=True)
class StateEntry:
    """One carried tensor: ONNX input `state.<name>` and output `next_state.<name>`, both [batch, dim].

    `between` is what it becomes when the policy is called several times a control period: the "mean" of the calls' next
    states, or that of the "first" call."""

    name: str
    dim: int
    reset: tuple[float, ...]
    between: str

    def __post_init__(self) -> None:
        what = f"state {self.name!r}"
        _require(self.name.isidentifier(), f"{what}: the name must be an identifier such as 'action_history'")
        _require(self.dim >= 1, f"{what}: dim is {self.dim}, expected at least 1")
        _require(len(self.reset) == self.dim, f"{what}: reset has {len(self.reset)} values, expected {self.dim}")
        _require(self.between in ("mean", "first"), f"{what}: between is {self.between!r}, expected 'mean' or 'first'")


@dataclass(frozen=True)
class Safety:
    """The envelope that ends the policy: `max_tilt` rad between body z and world z, `max_position_error` m from the
    target in each axis, `max_speed` m/s, and a geofence in m, world axes, relative to where the robot was armed.

    All but the tilt are null for a robot that does not know where it is."""

    max_tilt: float
    max_position_error: float | None
    max_speed: float | None
    geofence_low: tuple[float, float, float] | None
    geofence_high: tuple[float, float, float] | None

    def __post_init__(self) -> None:
        for field in ("max_tilt", "max_position_error", "max_speed"):
            value = getattr(self, field)
            _require(value is None or value > 0.0, f"safety.{field} is {value}, expected more than 0")
        place = ("max_position_error", "max_speed", "geofence_low", "geofence_high")
        absent = [field for field in place if getattr(self, field) is None]
        _require(len(absent) in (0, len(place)), f"safety.{', '.join(absent)} is null, expected all of {place} or none")
        if self.geofence_low is not None and self.geofence_high is not None:
            ordered = all(a < b for a, b in zip(self.geofence_low, self.geofence_high, strict=True))
            _require(ordered, "safety.geofence_low must be below safety.geofence_high in each axis")


@dataclass(frozen=True)
class Joints:
    """The robot's position-controlled joints, every list in the order of `names`; angles in rad.

    A joint's motor gives stiffness (Nm/rad) * (target - q) - damping (Nm s/rad) * qd, limited to +-torque_limit Nm. The
    robot stands in `stance` and lies at rest in `lying`; `low` and `high` are its limits of travel."""

    names: tuple[str, ...]
    stance: tuple[float, ...]
    lying: tuple[float, ...]
    stiffness: tuple[float, ...]
    damping: tuple[float, ...]
    torque_limit: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        _require(count > 0 and len(set(self.names)) == count, f"joints.names are {self.names}, expected different ones")
        for field in ("stance", "lying", "stiffness", "damping", "torque_limit", "low", "high"):
            found = len(getattr(self, field))
            _require(found == count, f"joints.{field} has {found} values, expected {count}")
        for field, least in (("stiffness", "> 0"), ("torque_limit", "> 0"), ("damping", ">= 0")):
            good = all(value > 0.0 or (value == 0.0 and least == ">= 0") for value in getattr(self, field))
            _require(good, f"joints.{field} are {getattr(self, field)}, expected all {least}")
        for field in ("stance", "lying"):
            values = zip(self.low, getattr(self, field), self.high, strict=True)
            _require(all(a <= v <= b for a, v, b in values), f"joints.{field} lies outside joints.low and joints.high")


@dataclass(frozen=True)
class Manifest:
    """Everything about a bundle but its network. `joints` is None for a robot without position-controlled joints;
    `provenance` and `evaluation` are free JSON data."""

    schema_version: int
    identity: Identity
    timing: Timing
    sensors: tuple[SensorEntry, ...]
    commands: tuple[CommandEntry, ...]
    states: tuple[StateEntry, ...]
    safety: Safety
    joints: Joints | None
    provenance: dict[str, Any]
    evaluation: dict[str, Any]

    def __post_init__(self) -> None:
        _check_version(self.schema_version)
        for kind, entries in (("sensors", self.sensors), ("commands", self.commands), ("states", self.states)):
            names = [entry.name for entry in entries]
            _require(len(set(names)) == len(names), f"{kind} carry one name twice: {', '.join(names)}")
        _require(bool(self.sensors), "sensors is empty, expected at least one")
        _require(bool(self.commands), "commands is empty, expected at least one")

    @property
    def input_names(self) -> tuple[str, ...]:
        """The ONNX inputs in order."""
        return tuple(s.name for s in self.sensors) + tuple(f"state.{s.name}" for s in self.states)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The ONNX outputs in order."""
        return tuple(c.name for c in self.commands) + tuple(f"next_state.{s.name}" for s in self.states)

    def spans(self) -> dict[str, tuple[float, ...]]:
        """The range high - low of every command's channels, by name, in its unit."""
        return {c.name: tuple(b - a for a, b in zip(c.low, c.high, strict=True)) for c in self.commands}

    def to_json(self) -> str:
        """The sealed text of manifest.json. Raises BundleError when provenance or evaluation is no plain JSON data."""
        try:
            return seal(encode(self))
        except JsonError as error:
            raise BundleError(f"manifest: {error}") from None

    @staticmethod
    def from_json(text: str) -> Manifest:
        """The manifest of a sealed text. Raises BundleError naming the field that is wrong."""
        try:
            document = parse(text)
            if isinstance(document, dict) and "schema_version" in document:
                # A newer schema may have other fields and another seal, so its version is what the user must hear of.
                _check_version(document["schema_version"])
            return decode(Manifest, unseal(text, document))
        except JsonError as error:
            raise BundleError(f"manifest.json: {error}; {_EXPORT_AGAIN}") from None


def seal(document: dict[str, Any]) -> str:
    """The text of a manifest document (without `digest`), its digest added as the last field."""
    text = json.dumps({**document, "digest": _NO_DIGEST}, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    return text.removesuffix(_tail(_NO_DIGEST)) + _tail(_digest(text))


def unseal(text: str, document: Any) -> dict[str, Any]:
    """The document (`text` parsed) without its digest. Raises BundleError when the digest does not hold."""
    if not isinstance(document, dict):
        raise JsonError(f"it holds a {type(document).__name__}, expected an object")
    if "digest" not in document:
        raise JsonError("field digest is missing")
    digest = document["digest"]
    intact = isinstance(digest, str) and _is_digest(digest) and text.endswith(_tail(digest))
    if not intact or _digest(text.removesuffix(_tail(digest)) + _tail(_NO_DIGEST)) != digest:
        raise BundleError(
            "manifest.json was changed after its export, its digest does not hold; "
            f"copy the bundle anew, or {_EXPORT_AGAIN}"
        )
    return {key: value for key, value in document.items() if key != "digest"}


def _tail(digest: str) -> str:
    return f'"digest": "{digest}"\n}}\n'


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_digest(value: str) -> bool:
    return len(value) == 64 and set(value) <= _HEX


def _check_version(version: Any) -> None:
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise BundleError(
            f"manifest schema_version is {version!r}, this robo-rl reads version {SCHEMA_VERSION}; "
            "install the robo-rl that wrote the bundle, or export the policy again with this one"
        )


def _check_signal(what: str, name: str, dim: int, low: tuple[float, ...], high: tuple[float, ...]) -> None:
    _require(name.isidentifier(), f"{what}: the name must be an identifier such as 'angular_velocity'")
    _require(dim >= 1, f"{what}: dim is {dim}, expected at least 1")
    _require(len(low) == dim, f"{what}: low has {len(low)} values, expected {dim}")
    _require(len(high) == dim, f"{what}: high has {len(high)} values, expected {dim}")
    _require(all(a < b for a, b in zip(low, high, strict=True)), f"{what}: every low must be below its high")


def _require(good: bool, message: str) -> None:
    if not good:
        raise BundleError(f"manifest: {message}; {_EXPORT_AGAIN}")
