"""The rooms' import rules: arrows run one way, and a robot's computer needs no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.imports import imports, is_below, modules

ROOT = Path(__file__).parent.parent

EXPORTER = ("deploy.export", "deploy.onnx_graph")
ROBOT_LIBRARIES = ("numpy", "onnxruntime", "roslibpy", "websockets", "mcap")


@dataclass(frozen=True)
class Rule:
    """Modules below `room` import the standard library and what is below `allowed`, less what is below `forbidden`."""

    room: str
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


# The first rule that fits a module holds for it, so the narrower ones stand first.
RULES = (
    Rule("policies", ("torch", "policies")),
    Rule("sim", ("torch", "numpy", "warp", "policies", "sim")),
    *(Rule(module, ("torch", "numpy", "onnx", "onnxscript", "policies", "deploy")) for module in EXPORTER),
    # Verification looks deeper into the graph where onnx is installed, as the exporter's machine has it.
    Rule("deploy.verify", ("numpy", "deploy"), forbidden=("deploy.export",)),
    Rule("deploy", ("numpy", "onnxruntime", "deploy"), forbidden=EXPORTER),
    Rule("real.simulated", ("torch", *ROBOT_LIBRARIES, "sim", "policies", "real")),
    # The robot's side does not know that a simulated robot exists.
    Rule("real", (*ROBOT_LIBRARIES, "deploy", "real"), forbidden=(*EXPORTER, "real.simulated")),
)


def violations(module: str, source: str) -> list[str]:
    """The imports of `module` that its room's rule forbids; robo_rl may import everything."""
    rule = next((rule for rule in RULES if is_below(module, (rule.room,))), None)
    if rule is None:
        return []
    return sorted(
        name for name in imports(source) if not is_below(name, rule.allowed) or is_below(name, rule.forbidden)
    )


@pytest.mark.parametrize("module", sorted(modules(ROOT)))
def test_module_keeps_the_rule_of_its_room(module: str) -> None:
    path = modules(ROOT)[module]
    assert violations(module, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("policies.networks", "import numpy"),
        ("sim.world", "from robo_rl import config"),
        ("sim.world", "from real.robot import Robot"),
        ("deploy.bundle", "def f():\n    import torch"),
        ("deploy.bundle", "from deploy.export import export_bundle"),
        ("deploy.verify", "from deploy.export import export_bundle"),
        ("real.loop", "from deploy import export"),
        ("deploy.export", "from sim.task import Task"),
        ("real.loop", "import torch.nn"),
        ("real.loop", "from sim import physics"),
        ("real.loop", "from real.simulated import robot"),
        ("real.simulated.robot", "import robo_rl"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


BLOCKER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {forbidden!r}:
            raise ModuleNotFoundError(f"{{name}} is not on a robot's computer", name=name)
        return None

sys.meta_path.insert(0, Absent())
sys.path.insert(0, {root!r})
{code}
"""


def run_without(forbidden: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter in which the `forbidden` packages can't be imported."""
    script = BLOCKER.format(forbidden=forbidden, root=str(ROOT), code=code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_the_robot_side_imports_without_torch_and_sim() -> None:
    absent = ("torch", "warp", "onnx", "sim", "robo_rl", "matplotlib", "tensorboard")
    finished = run_without(absent, "import real.session, deploy.bundle, deploy.verify")
    assert finished.returncode == 0, finished.stderr


def test_the_command_line_starts_without_torch() -> None:
    code = "from robo_rl.cli.main import main\nsys.argv = ['robo-rl', '--help']\nsys.exit(main())"
    finished = run_without(("torch", "warp", "onnx", "matplotlib", "tensorboard"), code)
    assert finished.returncode == 0, finished.stderr
    for command in ("tasks", "train", "eval", "export", "verify", "bridge", "robot", "deploy", "bench", "doctor"):
        assert command in finished.stdout


def test_the_blocker_blocks() -> None:
    finished = run_without(("torch",), "import policies.graph")
    assert finished.returncode != 0
    assert "torch is not on a robot's computer" in finished.stderr
