"""Result files: plain JSON for any content, with their true origin."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robo_rl.cli import main
from robo_rl.output import results


def test_anything_becomes_plain_json(tmp_path: Path) -> None:
    payload: dict[Any, Any] = {
        "array": np.arange(3, dtype=np.float32),
        "tensor": torch.tensor([1.5, float("nan")]),
        "tuple": (1, True, None),
        "scalar": np.float64("inf"),
        "path": Path("a/b"),
        3: {"nested": float("-inf")},
    }
    results.write(tmp_path / "deep/result.json", payload)
    document = json.loads((tmp_path / "deep/result.json").read_text())
    own = {name: document[name] for name in ("array", "tensor", "tuple", "scalar", "path", "3")}
    assert own == {
        "array": [0.0, 1.0, 2.0], "tensor": [1.5, None], "tuple": [1, True, None], "scalar": None, "path": "a/b",
        "3": {"nested": None},
    }  # fmt: skip
    assert {"machine", "versions", "command", "git_commit", "written"} <= document.keys()
    assert document["versions"]["torch"] == torch.__version__


def test_the_origin_can_not_be_overwritten(tmp_path: Path) -> None:
    results.write(tmp_path / "result.json", {"command": "something else"})
    assert json.loads((tmp_path / "result.json").read_text())["command"] != "something else"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_package_inside_another_checkout_does_not_report_its_commit(tmp_path: Path) -> None:
    """As when robo-rl is installed into a virtual environment within a project of the user's own."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "theirs"], check=True)
    package = tmp_path / "site-packages/robo_rl/output"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    for name in ("__init__.py", "results.py", "files.py"):
        shutil.copy(Path(results.__file__).parent / name, package)
    code = "from robo_rl.output import results; print(results.__file__, results.git_commit())"
    script = f"import sys; sys.path.insert(0, {str(package.parents[1])!r}); {code}"
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(package / "results.py"), "None"]


def test_the_command_is_what_a_user_types(monkeypatch: pytest.MonkeyPatch) -> None:
    for program, shown in ((main.__file__, "robo-rl"), ("/usr/bin/robo-rl", "robo-rl"), ("/me/main.py", "main.py")):
        monkeypatch.setattr(sys, "argv", [program, "eval", "runs/my run"])
        assert results.provenance()["command"] == f"{shown} eval 'runs/my run'"
