"""One export for all tests of the bundle; each test that damages a bundle gets a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.export.exporter import ExportReport
from tests.deploy import samples


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """The export of the hover sample."""
    return samples.export(samples.hover_graph(), tmp_path_factory.mktemp("exported") / "bundle")


@pytest.fixture
def bundle(report: ExportReport, tmp_path: Path) -> Path:
    """A copy of the exported bundle that a test may damage."""
    return Path(shutil.copytree(report.path, tmp_path / "bundle"))
