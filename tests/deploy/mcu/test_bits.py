"""A recorded flight has one set of bits on this machine and on the emulated Cortex-M4F, with every kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from deploy.bundle.golden import Golden
from deploy.bundle.reader import GOLDEN_FILE, load_bundle, read_files
from deploy.codegen.generate import SOURCE, generate
from deploy.export.exporter import ExportReport, export_bundle
from deploy.mcu.bits import Bits, compare_bits
from deploy.toolchain import MCU_FLAGS, run_tool
from policies.networks.memory import GruNetwork
from policies.networks.mlp import MLP
from robo_rl.workflows import export as trained
from sim.task import Task
from sim.tasks import find_task
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu

FEW_ROBOTS = 3
"""Enough for the 1000 states that an export wants, in a fraction of the time."""
ASSEMBLY: dict[str, set[str]] = {"c": set(), "asm": {"vldmia"}, "int8": {"smlad"}}
"""What the chip compiles of a kernel beside C: this machine's form of it isn't compared with itself."""


def network(task: Task) -> nn.Module:
    """One that has not learnt: a quadrotor tumbles out of its world again and again, each time into a reset."""
    torch.manual_seed(0)
    width, outputs = task.observation_dim, task.action.dim
    if task.name.startswith("go1"):
        return GruNetwork(width, 32, (), outputs, output_gain=0.5)
    return MLP(width, (64, 64), outputs, "tanh", squash=True, output_gain=0.5)


@pytest.fixture(scope="module", params=["crazyflie-hover", "crazyflie-track", "go1-velocity-flat"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with 400 steps of the task's own simulation."""
    task = find_task(request.param)
    graph = task.policy_graph(network(task))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "ROBOTS", FEW_ROBOTS)
        visited = trained.visit(graph, task)
    return export_bundle(
        graph, visited, tmp_path_factory.mktemp("flown") / "bundle", name="flown", task=task.name, kind=task.kind,
        safety=task.safety, provenance={}, evaluation={},
    ).path  # fmt: skip


@needs_gcc
@needs_arm
@needs_qemu
@pytest.mark.parametrize("kernel", ["c", "asm", "int8"])
def test_a_whole_recorded_flight_has_the_same_bits_on_the_chip(bundle: Path, kernel: str, tmp_path: Path) -> None:
    manifest = load_bundle(bundle).manifest
    golden = Golden.from_bytes(read_files(bundle)[GOLDEN_FILE], manifest)
    done = generate(bundle, tmp_path / "c", kernel)
    found = compare_bits(done, manifest, golden.reset, golden.sensors)
    assert found == Bits(steps=400, resets=int(golden.reset.sum()), equal=400)
    assert found.resets >= 2
    compiled = run_tool(["arm-none-eabi-gcc", *MCU_FLAGS, "-E", SOURCE], done.path, 60.0)
    assert {word for word in ("vldmia", "smlad") if word in compiled} == ASSEMBLY[kernel]


@needs_gcc
@needs_arm
@needs_qemu
def test_a_state_that_differs_is_counted(report: ExportReport, tmp_path: Path) -> None:
    manifest = load_bundle(report.path).manifest
    golden = Golden.from_bytes(read_files(report.path)[GOLDEN_FILE], manifest)
    done = generate(report.path, tmp_path / "c")
    source = done.path / SOURCE
    text, end = source.read_text(), "    return POLICY_OK;"
    assert text.count(end) == 1
    wrong = '#ifdef __arm__\n    memcpy(state, "bits", 4u);\n#endif\n'
    source.write_text(text.replace(end, wrong + end))
    assert compare_bits(done, manifest, golden.reset, golden.sensors).equal == 0
