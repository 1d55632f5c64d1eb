"""The manifest: what is written is read back, and nothing else is accepted."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.bundle.manifest import SCHEMA_VERSION, Manifest, seal
from deploy.bundle.reader import MANIFEST_FILE, parse_manifest
from deploy.errors import BundleError
from deploy.export.exporter import ExportReport


@pytest.fixture(scope="module")
def text(report: ExportReport) -> str:
    return (report.path / MANIFEST_FILE).read_text()


def _document(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    del document["digest"]
    return document


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every field that the schema prescribes: those of the free-form parts are left out."""
    if isinstance(value, dict):
        free = ("provenance", "evaluation")
        below = [p for key, item in value.items() if key not in free for p in _paths(item, (*prefix, key))]
        return [(*prefix, key) for key in value] + below
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _paths(value[0], (*prefix, 0))
    return []


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def test_what_is_written_is_read_back(text: str) -> None:
    manifest = Manifest.from_json(text)
    assert manifest.to_json() == text
    assert manifest.input_names == ("position", "orientation", "state.action_history")
    assert manifest.output_names == ("rotor_speed", "next_state.action_history")
    assert manifest.states[0].reset == (0.25,) * 12
    assert manifest.commands[0].high == (2272.6,) * 4
    assert manifest.kind == "flight"
    assert manifest.safety.max_input_age == 0.05
    assert manifest.safety.geofence_high == (3.0, 3.0, 2.0)
    assert manifest.evaluation == {"success": 0.93, "interval": [0.91, 0.95]}


def _sealed_by_hand(text: str) -> str:
    """The text with the digest that `sed` and `sha256sum` would give it."""
    line = re.compile(r'^  "digest": "[0-9a-f]{64}"$', re.MULTILINE)
    blank = line.sub(f'  "digest": "{"0" * 64}"', text)
    return line.sub(f'  "digest": "{hashlib.sha256(blank.encode()).hexdigest()}"', blank)


def test_the_seal_is_what_sed_and_sha256sum_compute(text: str) -> None:
    assert _sealed_by_hand(text) == text


def test_every_field_is_required_and_no_other_is_known(text: str) -> None:
    paths = _paths(_document(text))
    assert len(paths) > 35
    for path in paths:
        document = _document(text)
        del _at(document, path[:-1])[path[-1]]
        with pytest.raises(BundleError, match=rf"{path[-1]} is missing; export the policy again"):
            Manifest.from_json(seal(document))
    for parent in {path[:-1] for path in paths}:
        document = _document(text)
        _at(document, parent)["surprise"] = 1
        with pytest.raises(BundleError, match="surprise is unknown; known are"):
            Manifest.from_json(seal(document))


def test_every_field_of_another_type_is_refused_by_name(text: str) -> None:
    for path in _paths(_document(text)):
        document = _document(text)
        value = _at(document, path)
        _at(document, path[:-1])[path[-1]] = {} if isinstance(value, str | int | float) else 1.5
        with pytest.raises(BundleError, match=str(path[-1])):
            Manifest.from_json(seal(document))


@pytest.mark.parametrize("version", [0, 2, SCHEMA_VERSION + 1, "1", None, True])
def test_another_schema_version_is_refused_whatever_else_it_holds(version: Any) -> None:
    text = json.dumps({"schema_version": version, "shape_of_things": "to come"})
    with pytest.raises(BundleError, match=r"schema_version is .*, this robo-rl reads versions 3 to 5; install"):
        Manifest.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["period", "success", "rate_limit"])
def test_numbers_that_are_not_finite_are_refused(text: str, field: str, number: str) -> None:
    damaged = re.sub(rf'("{field}": )[\d.e+]+', rf"\g<1>{number}", text, count=1)
    assert damaged != text
    with pytest.raises(BundleError, match="finite"):
        Manifest.from_json(_sealed_by_hand(damaged))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("identity", "name"), "", "identity.name is empty"),
        (("identity", "policy_sha256"), "A" * 64, "expected 64 lower-case hexadecimal digits"),
        (("timing", "period"), 0.0, "timing.period is 0.0, expected more than 0 s"),
        (("sensors",), [], "sensors is empty"),
        (("sensors", 0, "dim"), 2, "low has 3 values, expected 1 or 2"),
        (("sensors", 0, "dim"), True, "sensors.0..dim is True, expected a whole number"),
        (("sensors", 0, "low"), [0.0, 0.0, 10.0], "every low must be below its high"),
        (("sensors", 0, "relative_to"), "home", "expected '' or 'target'"),
        (("sensors", 1, "name"), "position", "sensors carry one name twice"),
        (("commands", 0, "labels"), ["a", "b", "c", "c"], "expected 4 different names"),
        (("commands", 0, "safe"), [0, 0, 0, 9999], "lies outside its limits"),
        (("commands", 0, "rate_limit"), 0, "expected more than 0 rad/s/s"),
        (("runtime", "onnxruntime"), "1.15", "runtime.onnxruntime is '1.15', expected a range such as"),
        (("states", 0, "reset"), [0.0], "reset has 1 values, expected 1 or 12"),
        (("states", 0, "name"), "a b", "must be an identifier"),
        (("states", 0, "between"), "last", "between is 'last', expected one of 'mean', 'first'"),
        (("safety", "max_tilt"), -1.0, "safety.max_tilt is -1.0"),
        (("safety", "geofence_low"), [0.0, 0.0], "geofence_low has 2 values, expected 3"),
        (("safety", "geofence_low"), [5.0, -1.0, -1.0], "must be below safety.geofence_high"),
    ],
)
def test_values_that_make_no_sense_are_refused(text: str, path: tuple[Any, ...], value: Any, message: str) -> None:
    document = copy.deepcopy(_document(text))
    _at(document, path[:-1])[path[-1]] = value
    with pytest.raises(BundleError, match=message):
        Manifest.from_json(seal(document))


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ("", "is not JSON"),
        ("[1, 2]", "holds a list, expected an object"),
        ("null", "holds a NoneType, expected an object"),
        ('{"schema_version": 3}', "digest is missing"),
        ('{"schema_version": 3, "schema_version": 3}', "schema_version is given twice"),
        ("[" * 100_000, "too deep to read"),
        ("1" * 10_000, "number too long"),
    ],
)
def test_what_is_no_manifest_is_refused(damaged: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Manifest.from_json(damaged)


def test_one_changed_byte_anywhere_is_noticed(text: str) -> None:
    data = text.encode()
    for i in range(0, len(data), 3):
        for flip in (0x01, 0x20, 0x80):
            with pytest.raises(BundleError):
                parse_manifest(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])


def test_an_edited_value_breaks_the_seal(text: str) -> None:
    with pytest.raises(BundleError, match="was changed after its export, its digest does not hold; copy the bundle"):
        Manifest.from_json(text.replace('"max_tilt": 1.2', '"max_tilt": 9.9'))


def test_provenance_must_be_plain_data(report: ExportReport) -> None:
    good = Manifest.from_json((report.path / MANIFEST_FILE).read_text())
    for value, message in ((Path("x"), "provenance.a is of type"), (float("nan"), "provenance.a is nan")):
        with pytest.raises(BundleError, match=message):
            Manifest(**(vars(good) | {"provenance": {"a": value}})).to_json()


LEG: dict[str, Any] = {
    "names": ["hip", "knee"], "low": [-1.0, -2.5], "high": [1.0, 0.0], "stance": [0.1, -1.0], "lying": [0.0, -2.0],
    "motors": {"stiffness": [35.0, 40.0], "damping": [0.5, 0.0], "torque_limit": [20.0, 30.0]},
}  # fmt: skip


def test_a_robot_with_joints_has_its_gains_and_may_have_no_position(text: str) -> None:
    document = _document(text)
    document["joints"] = LEG
    parts = ("max_position_error", "max_speed", "geofence_low", "geofence_high")
    document["safety"] |= dict.fromkeys(parts)
    document["sensors"][0]["labels"] = ["knee", "hip", "tail"]
    manifest = Manifest.from_json(seal(document))
    assert manifest.joints is not None
    assert manifest.joints.motors is not None
    assert manifest.joints.motors.stiffness == (35.0, 40.0)
    assert manifest.safety.geofence_low is None
    assert manifest.sensors[0].labels == ("knee", "hip", "tail")
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["hip", "hip"]}, "joints.names are"),
        ({"names": []}, "joints.names are"),
        ({"lying": [0.0]}, "joints.lying has 1 values, expected 2"),
        ({"motors": {**LEG["motors"], "stiffness": [0.0, 1.0]}}, "joints.motors.stiffness are .* expected all > 0"),
        ({"motors": {**LEG["motors"], "damping": [-1.0, 1.0]}}, "joints.motors.damping are .* expected all >= 0"),
        ({"motors": {**LEG["motors"], "torque_limit": [1.0]}}, "joints.motors.torque_limit has 1 values, expected 2"),
        ({"stance": [3.0, -1.0]}, "joints.stance lies outside joints.low and joints.high"),
        ({"low": None}, "joints.low is None, expected a list"),
    ],
)
def test_joints_that_make_no_sense_are_refused(text: str, change: dict[str, Any], message: str) -> None:
    document = _document(text)
    document["joints"] = {**LEG, **change}
    with pytest.raises(BundleError, match=message):
        Manifest.from_json(seal(document))


@pytest.mark.parametrize("absent", ["max_tilt", "max_speed", "max_position_error"])
def test_each_part_of_an_envelope_may_be_absent_but_not_half_a_geofence(text: str, absent: str) -> None:
    document = _document(text)
    document["safety"][absent] = None
    assert getattr(Manifest.from_json(seal(document)).safety, absent) is None
    document["safety"]["geofence_low"] = None
    with pytest.raises(BundleError, match="geofence_low and geofence_high belong together: both or none"):
        Manifest.from_json(seal(document))


def test_labels_of_a_sensor_name_every_channel(text: str) -> None:
    document = _document(text)
    document["sensors"][0]["labels"] = ["x", "y"]
    with pytest.raises(BundleError, match="expected none or 3 different names"):
        Manifest.from_json(seal(document))
