"""Bundles of schemas 3 and 4 are read as what they were: the kind is derived once, the rest keeps its meaning."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.bundle.manifest import SCHEMA_VERSION, Manifest, seal
from deploy.bundle.reader import FILES, MANIFEST_FILE, load_bundle
from deploy.errors import BundleError
from deploy.export.exporter import ExportReport
from tests.deploy.downgrade import as_schema_3, as_schema_4
from tests.real.fake_robot import make_manifest
from tests.real.missions.test_walk import leg_manifest


@pytest.mark.parametrize("manifest", [make_manifest(), leg_manifest()], ids=lambda manifest: manifest.kind)
def test_a_manifest_of_schema_3_is_read_as_what_it_was(manifest: Manifest) -> None:
    old = as_schema_3(manifest)
    assert "kind" not in old
    read = Manifest.from_json(seal(old))
    assert read == manifest
    assert json.loads(read.to_json())["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize("downgraded", [as_schema_3, as_schema_4])
def test_an_older_bundle_is_loaded_and_replayed(
    report: ExportReport, tmp_path: Path, downgraded: Callable[[Manifest], dict[str, Any]]
) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes((report.path / name).read_bytes())
    manifest = load_bundle(report.path).manifest
    (tmp_path / MANIFEST_FILE).write_text(seal(downgraded(manifest)))
    assert load_bundle(tmp_path).manifest == dataclasses.replace(manifest, runtime=None)


def test_joint_sensors_without_labels_were_in_the_order_of_the_joints() -> None:
    manifest = leg_manifest()
    assert manifest.joints is not None
    old = as_schema_3(manifest)
    for entry in old["sensors"]:
        entry["labels"] = []
    labels = {s.name: s.labels for s in Manifest.from_json(seal(old)).sensors}
    assert labels["joint_position"] == labels["joint_velocity"] == manifest.joints.names
    assert labels["orientation"] == ()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.pop("joints"), "field joints is missing"),
        (lambda d: d["timing"].pop("max_input_age"), "field max_input_age is missing"),
        (lambda d: d.update(sensors=3), "another type than schema 3 has"),
        (lambda d: d.update(surprise=1), "field surprise is unknown"),
        (lambda d: d["safety"].update(max_tilt=-1.0), "safety.max_tilt is -1.0"),
    ],
)
def test_what_is_no_schema_3_is_refused_in_one_line(damage: Any, message: str) -> None:
    old = as_schema_3(make_manifest())
    damage(old)
    with pytest.raises(BundleError, match=message) as caught:
        Manifest.from_json(seal(old))
    assert "\n" not in str(caught.value)
