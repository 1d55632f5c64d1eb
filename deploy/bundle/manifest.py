"""The manifest of a bundle: a policy's inputs, outputs and limits, in SI units. docs/bundle.md describes every field.

The file seals itself: its last field, `digest`, is the SHA-256 of the file's own bytes with the digest's 64 characters
set to "0", so that any tool can check it with sed and sha256sum, without agreeing on how numbers are printed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from deploy.bundle.schema3 import SCHEMA_3, upgraded
from deploy.bundle.strict_json import JsonError, decode, encode, parse
from deploy.errors import BundleError
from policies.specs import CommandSpec, JointSpec, SafetyEnvelope, SensorSpec, StateSpec

SCHEMA_VERSION, SCHEMA_4 = 5, 4
_NO_DIGEST = "0" * 64
_HEX = frozenset("0123456789abcdef")
_RANGE = re.compile(r">=\d+\.\d+,<\d+")
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
        for name in ("policy_sha256", "golden_sha256"):
            value = getattr(self, name)
            _require(_is_digest(value), f"identity.{name} is {value!r}, expected 64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class Timing:
    """`period`: the control period in s."""

    period: float

    def __post_init__(self) -> None:
        _require(self.period > 0.0, f"timing.period is {self.period}, expected more than 0 s")


@dataclass(frozen=True)
class Runtime:
    """What policy.onnx needs of whatever runs it: ONNX's IR version and operator set, and a range of onnxruntime, such
    as ">=1.15,<2", that knows both."""

    ir_version: int
    opset: int
    onnxruntime: str

    def __post_init__(self) -> None:
        good = _RANGE.fullmatch(self.onnxruntime) is not None
        _require(good, f"runtime.onnxruntime is {self.onnxruntime!r}, expected a range such as '>=1.15,<2'")


@dataclass(frozen=True)
class Manifest:
    """Everything about a bundle but its network.

    `kind` names the mission that the policy is for (real/missions/kinds.py). `sensors` and `states` are the network's
    inputs in order, `commands` and the next states its outputs: a sensor is an ONNX input [batch, dim], a command an
    output [batch, dim], a state the input `state.<name>` and the output `next_state.<name>`. `joints` is None for a
    robot without position-controlled joints, `runtime` None for a bundle of schema 4 or 3; `provenance` and
    `evaluation` are free JSON data.
    """

    schema_version: int
    identity: Identity
    kind: str
    timing: Timing
    runtime: Runtime | None = field(default=None, kw_only=True)
    sensors: tuple[SensorSpec, ...]
    commands: tuple[CommandSpec, ...]
    states: tuple[StateSpec, ...]
    safety: SafetyEnvelope
    joints: JointSpec | None
    provenance: dict[str, Any]
    evaluation: dict[str, Any]

    def __post_init__(self) -> None:
        _check_version(self.schema_version, SCHEMA_VERSION)
        _require(self.kind.isidentifier(), f"kind is {self.kind!r}, expected a word such as 'flight'")
        for what, entries in (("sensors", self.sensors), ("commands", self.commands), ("states", self.states)):
            names = [entry.name for entry in entries]
            _require(len(set(names)) == len(names), f"{what} carry one name twice: {', '.join(names)}")
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
        """The sealed text of manifest.json. Raises BundleError when provenance or evaluation is not plain JSON data."""
        try:
            document = encode(self)
            if document["safety"]["imu"] is None:
                # Left out, so that earlier versions read the bundles of robots whose IMU is not turned.
                del document["safety"]["imu"]
            return seal(document)
        except JsonError as error:
            raise BundleError(f"manifest: {error}") from None

    @staticmethod
    def from_json(text: str) -> Manifest:
        """The manifest of a sealed text of schema 5, 4 or 3. Raises BundleError naming the field that is wrong."""
        try:
            document = parse(text)
            if isinstance(document, dict) and "schema_version" in document:
                # Another schema may have other fields and another seal, so the version is checked first.
                _check_version(document["schema_version"], SCHEMA_VERSION, SCHEMA_4, SCHEMA_3)
            fields = unseal(text, document)
            version = fields.get("schema_version")
            if version == SCHEMA_3:
                fields = upgraded(fields)
            if version in (SCHEMA_3, SCHEMA_4):
                fields |= {"schema_version": SCHEMA_VERSION, "runtime": None}
            if isinstance(fields.get("safety"), dict):
                fields["safety"] = {**fields["safety"], "imu": fields["safety"].get("imu")}
            return decode(Manifest, fields)
        except BundleError:
            raise
        except JsonError as error:
            raise BundleError(f"manifest.json: {error}; {_EXPORT_AGAIN}") from None
        except ValueError as error:  # A specification that contradicts itself.
            raise BundleError(f"manifest: {error}; {_EXPORT_AGAIN}") from None


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
            f"copy the bundle again, or {_EXPORT_AGAIN}"
        )
    return {key: value for key, value in document.items() if key != "digest"}


def _tail(digest: str) -> str:
    return f'"digest": "{digest}"\n}}\n'


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_digest(value: str) -> bool:
    return len(value) == 64 and set(value) <= _HEX


def _check_version(version: Any, *known: int) -> None:
    if version not in known or isinstance(version, bool):
        raise BundleError(
            f"manifest schema_version is {version!r}, this robo-rl reads versions {SCHEMA_3} to {SCHEMA_VERSION}; "
            "install the robo-rl that wrote the bundle, or export the policy again with this one"
        )


def _require(good: bool, message: str) -> None:
    if not good:
        raise BundleError(f"manifest: {message}; {_EXPORT_AGAIN}")
