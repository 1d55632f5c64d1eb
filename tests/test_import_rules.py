"""The rooms' import rules: arrows run one way, and a robot's computer needs no torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.imports import ROOMS, dependencies, imports, imports_at_once, is_below, modules

ROOT = Path(__file__).parent.parent

SIM_ROOT = ("sim.actuators", "sim.environment", "sim.sensors", "sim.task")
EXPORTER = ("deploy.export", "deploy.bundle.onnx_graph")
# The C generator reads graphs with onnx, in one module of its own.
GRAPH_READER = "deploy.codegen.onnx_reader"
# What every room may import: plain Python, without torch.
FLOOR = ("policies.specs", "policies.errors")
ROBOT_LIBRARIES = ("numpy", "onnxruntime", "roslibpy", "websockets", "mcap", "serial")


@dataclass(frozen=True)
class Rule:
    """Modules below `room` import the standard library and what is below `allowed`, less what is below `forbidden`."""

    room: str
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


# The first rule that fits a module holds for it, so the narrower ones stand first.
RULES = (
    Rule("policies", ("torch", "policies")),
    Rule("sim", ("torch", "numpy", "warp", "mujoco", "mujoco_menagerie", "pybullet", "yaml", "policies", "sim")),
    *(Rule(module, ("torch", "numpy", "onnx", "onnxscript", "policies", "deploy")) for module in EXPORTER),
    Rule("deploy.errors", ("policies.errors",)),
    Rule(GRAPH_READER, ("numpy", "onnx", "deploy.errors", "deploy.bundle.onnx_graph")),
    Rule("deploy.codegen", ("numpy", "deploy", *FLOOR), forbidden=EXPORTER),
    # Verification looks deeper into the graph where onnx is installed, as the exporter's machine has it.
    Rule("deploy.bundle.verification", ("numpy", "deploy", *FLOOR), forbidden=("deploy.export",)),
    Rule("deploy", ("numpy", "onnxruntime", "deploy", *FLOOR), forbidden=EXPORTER),
    Rule("real.simulated", ("torch", "mujoco", *ROBOT_LIBRARIES, "sim", "policies", "real")),
    # The robot's side does not know that a simulated robot exists.
    Rule(
        "real",
        (*ROBOT_LIBRARIES, "deploy", *FLOOR, "real"),
        forbidden=(*EXPORTER, "deploy.codegen", "real.simulated"),
    ),
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
        ("policies.networks.mlp", "import numpy"),
        ("sim.world", "from robo_rl import config"),
        ("sim.world", "from real.contract.robot import Robot"),
        ("deploy.bundle.reader", "def f():\n    import torch"),
        ("deploy.bundle.reader", "from deploy.export.exporter import export_bundle"),
        ("deploy.bundle.verification", "from deploy.export.exporter import export_bundle"),
        ("deploy.codegen.lower", "import onnx"),
        ("deploy.codegen.onnx_reader", "import torch"),
        ("real.control.loop", "from deploy.codegen.generate import generate"),
        ("real.control.loop", "from deploy import export"),
        ("deploy.export.exporter", "from sim.task import Task"),
        ("real.control.loop", "import torch.nn"),
        ("real.control.loop", "from sim import physics"),
        ("real.control.loop", "from real.simulated import robot"),
        ("real.simulated.robot", "import robo_rl"),
    ],
)
def test_a_forbidden_import_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


# What each sub-room imports of its own room, beside itself: arrows run one way.
ARROWS: dict[str, tuple[str, ...]] = {
    "policies.terms": ("policies.signals", "policies.specs", "policies.errors", "policies.validation"),
    "policies.networks": ("policies.signals", "policies.specs", "policies.errors", "policies.validation"),
    "policies.graph": (
        "policies.terms", "policies.signals", "policies.specs", "policies.errors", "policies.validation",
    ),
    "deploy.bundle": ("deploy.errors",),
    "deploy.export": ("deploy.bundle", "deploy.errors"),
    "deploy.codegen": ("deploy.bundle", "deploy.errors", "deploy.toolchain"),
    "deploy.mcu": ("deploy.bundle", "deploy.codegen", "deploy.errors", "deploy.toolchain"),
    "deploy.firmware": ("deploy.bundle", "deploy.codegen", "deploy.mcu", "deploy.errors", "deploy.toolchain"),
    "sim.terrain": (),
    "sim.robots": (),
    "sim.terms": ("sim.physics",),
    "sim.physics": ("sim.robots", "sim.terrain"),
    "sim.controllers": ("sim.physics", "sim.robots"),
    "sim.quadrotor": ("sim.physics", "sim.robots", "sim.terms", *SIM_ROOT),
    "sim.legged": ("sim.physics", "sim.robots", "sim.terms", "sim.terrain", *SIM_ROOT),
    "real.timing": (),
    "real.contract": ("real.timing",),
    "real.ros": (),
    "real.safety": ("real.contract", "real.timing"),
    "real.recording": ("real.contract", "real.timing"),
    "real.missions": ("real.contract", "real.timing", "real.safety", "real.recording"),
    "real.control": ("real.contract", "real.timing", "real.safety", "real.recording", "real.missions"),
    "real.bridge": ("real.ros",),
    "real.robots": ("real.contract", "real.timing", "real.safety", "real.ros", "real.bridge.client"),
    "real.simulated": ("real.contract", "real.ros", "real.bridge.client"),
    "robo_rl.output": (),
    "robo_rl.doors": ("robo_rl.training",),
    "robo_rl.evaluation": ("robo_rl.output", "robo_rl.training"),
    "robo_rl.view": ("robo_rl.output", "robo_rl.training", "robo_rl.evaluation"),
    "robo_rl.workflows": ("robo_rl.output", "robo_rl.training", "robo_rl.evaluation", "robo_rl.view"),
    "robo_rl.bench": tuple(f"robo_rl.{part}" for part in (
        "algorithms", "doors", "evaluation", "output", "training", "view", "workflows")),
}  # fmt: skip


@pytest.mark.parametrize("room", ARROWS)
def test_a_sub_room_imports_only_those_before_it(room: str) -> None:
    own = room.partition(".")[0]
    wrong = {
        f"{module} imports {name}"
        for module, path in modules(ROOT).items()
        if is_below(module, (room,))
        for name in imports(path.read_text(encoding="utf-8"))
        if is_below(name, (own,)) and not is_below(name, (room, *ARROWS[room]))
    }
    assert wrong == set()


def test_every_sub_room_of_the_robot_side_has_its_arrows() -> None:
    assert {path.parent.name for path in (ROOT / "real").glob("*/__init__.py")} == {
        room.partition(".")[2] for room in ARROWS if room.startswith("real.")
    }


def test_no_import_circle_exists_anywhere() -> None:
    """Imports inside functions and for types count: one that hides a circle is a circle."""
    graph = dependencies(ROOT)
    left = dict(graph)
    while free := [module for module, needed in left.items() if not needed & left.keys()]:
        for module in free:
            del left[module]
    # What is left is in a circle or leads to one; those to which nothing left leads are not part of it.
    while ends := [module for module in left if not any(module in needed for needed in left.values())]:
        for module in ends:
            del left[module]
    assert sorted(left) == []


def test_dependencies_find_functions_and_types(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "a.py").write_text("def f():\n    from sim import b\n")
    (tmp_path / "sim" / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sim.a import f\n"
    )
    assert dependencies(tmp_path) == {"sim.a": {"sim.b"}, "sim.b": {"sim.a"}}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_at_most_four_loose_modules(room: str) -> None:
    loose = [path.name for path in (ROOT / room).glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= 4, loose


# Where each heavy library may be used at all. Torch has no line: the rooms' rules above hold it.
HEAVY = {
    "warp": (
        "sim.physics",
        "sim.legged.kernels",
        "sim.legged.row_kernels",
        "sim.legged.draws",
        "sim.quadrotor.kernels",
        "sim.terms.kernels",
    ),
    "mujoco": ("sim", "real.simulated", "robo_rl.view", "robo_rl.bench.env", "robo_rl.evaluation.sim2sim"),
    "onnx": (*EXPORTER, GRAPH_READER),
    "onnxruntime": ("deploy.bundle.runtime",),
    "roslibpy": ("real",),
    "serial": ("real.robots.serial_link",),
    "websockets": ("real",),
    "mcap": ("real.recording.recorder", "real.recording.messages"),
    "matplotlib": ("robo_rl.view.plots",),
    "torch.utils.tensorboard": ("robo_rl.training.loggers",),
    "wandb": ("robo_rl.training.loggers",),
    "optuna": ("robo_rl.workflows.sweep", "robo_rl.cli.sweep"),
    "imageio_ffmpeg": ("robo_rl.view.film",),
    "PIL": ("robo_rl.view.overlay",),
    "viser": ("robo_rl.view.web",),
    "mjviser": ("robo_rl.view.web",),
    "gymnasium": ("robo_rl.doors",),
    "rsl_rl": ("robo_rl.doors", "robo_rl.bench.ppo"),
    "tensordict": ("robo_rl.doors",),
    "adastop": ("robo_rl.evaluation.statistics",),
}
# Imported where they are used, because most of what their modules are imported for does without.
LAZY = ("roslibpy", "matplotlib", "serial", "adastop", "wandb", "optuna")
# What `robo-rl` imports before it knows what is asked for, and what reads and writes result files.
LIGHT = (
    "robo_rl.cli",
    "robo_rl.algorithms.registry",
    "robo_rl.bench.registry",
    "robo_rl.bench.tables",
    "robo_rl.training.config",
    "robo_rl.training.record",
    "robo_rl.evaluation.statistics",
    "robo_rl.output.files",
    "robo_rl.workflows.processes",
    "robo_rl.output.results",
    "policies.validation",
)


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_used_in_its_own_corner_only(library: str) -> None:
    users = {
        module
        for module, path in modules(ROOT).items()
        if any(is_below(name, (library,)) for name in imports(path.read_text(encoding="utf-8")))
    }
    assert users, f"nothing uses {library}: drop it from this table"
    assert {module for module in users if not is_below(module, HEAVY[library])} == set()


@pytest.mark.parametrize("library", LAZY)
def test_a_lazy_library_is_imported_where_it_is_used(library: str) -> None:
    for module, path in modules(ROOT).items():
        at_once = imports_at_once(path.read_text(encoding="utf-8"))
        assert not any(is_below(name, (library,)) for name in at_once), module


def test_imports_at_once_leave_out_functions_and_types() -> None:
    source = (
        "import a\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import b\ndef f():\n    import c\n"
        "try:\n    import d\nexcept ImportError:\n    pass\nclass C:\n    import e\n"
    )
    assert imports_at_once(source) == {"a", "d", "e"}


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
    finished = run_without(absent, "import real.control.session, deploy.bundle.reader, deploy.bundle.verification")
    assert finished.returncode == 0, finished.stderr


def test_the_command_line_starts_without_torch() -> None:
    code = "from robo_rl.cli.main import main\nsys.argv = ['robo-rl', '--help']\nsys.exit(main())"
    finished = run_without(("torch", "warp", "onnx", "matplotlib", "tensorboard"), code)
    assert finished.returncode == 0, finished.stderr
    for command in ("tasks", "train", "eval", "export", "verify", "bridge", "robot", "deploy", "bench", "doctor"):
        assert command in finished.stdout


def test_what_the_command_line_needs_at_once_is_light() -> None:
    light = [module for module in modules(ROOT) if is_below(module, LIGHT)]
    assert len(light) > 15
    absent = ("torch", "warp", "onnx", "onnxruntime", "roslibpy", "websockets", "mcap", "matplotlib", "tensorboard")
    finished = run_without(absent, f"import {', '.join(light)}")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("absent", "arguments", "extra"),
    [
        ("torch", ["tasks"], "train"),
        ("warp", ["train", "crazyflie-hover"], "train"),
        ("onnxruntime", ["verify", "bundle"], "robot"),
        ("websockets", ["bridge"], "robot"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(absent: str, arguments: list[str], extra: str) -> None:
    finished = run_without((absent,), f"from robo_rl.cli.main import main\nsys.exit(main({arguments}))")
    assert finished.returncode == 2
    assert finished.stderr == (
        f"robo-rl: error: {absent} is not installed; it comes with: pip install 'robo-rl[{extra}]'\n"
    )


def test_the_blocker_blocks() -> None:
    finished = run_without(("torch",), "import policies.graph.policy_graph")
    assert finished.returncode != 0
    assert "torch is not on a robot's computer" in finished.stderr
