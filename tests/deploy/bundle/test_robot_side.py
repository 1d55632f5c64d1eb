"""A computer with numpy and onnxruntime, and of ours `deploy` and `policies.specs`, loads, verifies and steps one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deploy.bundle.reader import load_bundle
from deploy.export.exporter import ExportReport

_SCRIPT = """
import json
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript", "sim", "robo_rl", "real"):
            raise ModuleNotFoundError(f"{name} is not on a robot's computer", name=name)
        return None

sys.meta_path.insert(0, Absent())

import numpy as np
import deploy.bundle.reader
import deploy.errors
import deploy.bundle.verification

policy = deploy.bundle.reader.load_bundle(sys.argv[1]).policy
policy.warm(3)
sensors = {"position": np.array([0.1, -0.2, 0.3]), "orientation": np.array([1.0, 0.0, 0.0, 0.0])}
commands = [policy.step(sensors)["rotor_speed"].tolist() for _ in range(3)]
report = deploy.bundle.verification.verify_bundle(sys.argv[1])
checks = {check.name: [check.ok, check.detail] for check in report.checks}
print(json.dumps({"commands": commands, "checks": checks, "torch": "torch" in sys.modules}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def outcome(report: ExportReport, home: Path) -> dict[str, object]:
    root = Path(__file__).parents[3]
    finished = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(report.path)],
        cwd=root,
        env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result: dict[str, object] = json.loads(finished.stdout)
    return result


def test_it_steps_as_it_does_here(outcome: dict[str, object], report: ExportReport) -> None:
    assert outcome["torch"] is False
    policy = load_bundle(report.path).policy
    sensors = {"position": np.array([0.1, -0.2, 0.3]), "orientation": np.array([1.0, 0.0, 0.0, 0.0])}
    expected = [policy.step(sensors)["rotor_speed"].tolist() for _ in range(3)]
    assert outcome["commands"] == expected


def test_it_verifies_all_but_the_single_weights(outcome: dict[str, object]) -> None:
    checks = outcome["checks"]
    assert isinstance(checks, dict)
    assert all(ok for ok, _ in checks.values())
    assert "install robo-rl[train]" in checks["weights"][1]


def test_nothing_is_noted_about_the_user(outcome: dict[str, object], home: Path) -> None:
    # onnxruntime would keep a database of usage events here, and a thread that sends them away.
    assert list(home.rglob("*")) == []
