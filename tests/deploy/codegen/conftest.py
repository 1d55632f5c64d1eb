"""Bundles turned into C, once for all tests: the hover sample, one that tracks, one with a recurrent memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.bundle.golden import Bools, Golden
from deploy.bundle.reader import Bundle, load_bundle
from deploy.codegen.generate import FILES, Generated, generate
from deploy.export.exporter import ExportReport
from policies.networks.memory import GruNetwork
from tests.deploy import samples
from tests.deploy.codegen.harness import CASE, Floats


@dataclass(frozen=True)
class InC:
    """A bundle, its C by file name with the program that steps it, and its golden episode as rows."""

    bundle: Bundle
    report: Generated
    files: dict[str, str]
    sensors: Floats
    reset: Bools

    @property
    def texts(self) -> dict[str, str]:
        """The sources to compile."""
        return self.files | {"case.c": CASE.replace("SELFTEST", "policy_selftest()")}


def in_c(path: Path, out: Path, **options: object) -> InC:
    bundle = load_bundle(path)
    report = generate(path, out, **options)  # type: ignore[arg-type]
    golden = Golden.from_bytes((path / "golden.npz").read_bytes(), bundle.manifest)
    sensors = np.concatenate([golden.sensors[s.name] for s in bundle.manifest.sensors], axis=1)
    texts = {name: (out / name).read_text(encoding="ascii") for name in FILES if name != "README.md"}
    return InC(bundle, report, texts, sensors, golden.reset)


@pytest.fixture(scope="session")
def hover(report: ExportReport, tmp_path_factory: pytest.TempPathFactory) -> InC:
    return in_c(report.path, tmp_path_factory.mktemp("hover") / "c")


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> InC:
    """No state at all, limits that differ by channel, golden steps beyond a sensor's limits."""
    folder = tmp_path_factory.mktemp("tracking")
    return in_c(samples.export(samples.tracking_graph(), folder / "bundle").path, folder / "c")


@pytest.fixture(scope="session")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> InC:
    """A recurrent memory beside the history of actions."""
    folder = tmp_path_factory.mktemp("remembering")
    torch.manual_seed(3)
    width = samples.hover_graph().observation_dim
    network = GruNetwork(width, 16, (24,), 4, "elu", squash=True, output_gain=0.5)
    return in_c(samples.export(samples.hover_graph(network=network), folder / "bundle").path, folder / "c")
