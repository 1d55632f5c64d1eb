"""docs/bundle.md says what the code does: every field, every operator, the version."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.bundle.golden import TOLERANCE
from deploy.bundle.manifest import SCHEMA_VERSION, Manifest
from deploy.bundle.onnx_graph import OPERATORS, load
from deploy.bundle.reader import FILES
from deploy.export.exporter import ExportReport

_TEXT = (Path(__file__).parents[3] / "docs" / "bundle.md").read_text(encoding="utf-8")


def test_every_field_of_the_manifest_is_explained(report: ExportReport) -> None:
    manifest = Manifest.from_json((report.path / FILES[1]).read_text())
    assert manifest.runtime is not None
    records = (manifest, manifest.identity, manifest.timing, manifest.runtime, manifest.safety)
    entries = (manifest.sensors[0], manifest.commands[0], manifest.states[0])
    for record in (*records, *entries):
        for name in vars(record):
            assert re.search(rf"`[\w.]*\b{name}(\[\])?\b", _TEXT), f"{name} is not explained"
    assert f"version {SCHEMA_VERSION}\n" in _TEXT
    assert f"<= {TOLERANCE:.0e}`".replace("e-05", "e-5") in _TEXT


def test_the_operators_are_those_of_the_exporter(report: ExportReport) -> None:
    listed = re.findall(r"^> (.*)$", _TEXT, re.MULTILINE)
    assert set(" ".join(listed).split()) == OPERATORS
    model = load((report.path / FILES[0]).read_bytes())
    assert f"Opset {model.opset_import[0].version}, IR version {model.ir_version}," in _TEXT
