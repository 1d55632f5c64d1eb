"""Students of every kind leave as any policy does: PyTorch, ONNX and C agree, and the truth stays behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.bundle.golden import Golden
from robo_rl.algorithms.distill.arms import Kind
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.training import runner
from robo_rl.training.config import TrainConfig
from robo_rl.workflows.export import export_run
from sim.tasks import find_task
from tests.deploy.codegen.conftest import in_c
from tests.deploy.codegen.test_episodes import flown
from tests.mcu_tools import needs_gcc

STUDENTS: tuple[tuple[str, Kind], ...] = (
    ("dagger", "mlp"), ("dagger", "gru"), ("rma", "history"), ("hib", "history"), ("dropper", "gru"),
)  # fmt: skip


@needs_gcc
@pytest.mark.parametrize(("arm", "actor"), STUDENTS)
def test_a_student_is_one_function_in_pytorch_onnx_and_c(arm: str, actor: Kind, tmp_path: Path) -> None:
    config = DistillConfig(
        arm=arm, actor=actor, num_worlds=32, iterations=2, rollout_steps=20, epochs=1, minibatches=2, updates=5,
        batch=256, adaptation=1, memory=12, history=4, history_code=6, actor_hidden=(16,), critic_hidden=(16,),
    )  # fmt: skip
    run = tmp_path / "run"
    runner.create(run, TrainConfig("crazyflie-hover", config, seed=1))
    runner.train(run, lambda done, total, metrics: None)
    # ONNX is compared with PyTorch on every visited state; a difference above 1e-5 of a range would raise.
    exported = export_run(run, tmp_path / "bundle", episodes=8).report
    manifest = exported.manifest
    task = find_task("crazyflie-hover")
    assert {s.name for s in manifest.sensors} <= {s.name for s in task.sensors}
    memory = {"mlp": set(), "gru": {"hidden"}, "history": {"past"}}[actor]
    assert {s.name for s in manifest.states} == {"action_history"} | memory
    assert exported.parameters == sum(p.numel() for p in runner.load_trained(run).graph.parameters())
    given = in_c(tmp_path / "bundle", tmp_path / "c")
    golden = Golden.from_bytes((tmp_path / "bundle" / "golden.npz").read_bytes(), manifest)
    wanted = np.concatenate([golden.commands[c.name] for c in manifest.commands], 1)
    spans = np.array([b - a for c in manifest.commands for a, b in zip(c.low, c.high, strict=True)])
    found = flown(given)[:, 1 : 1 + wanted.shape[1]]
    assert golden.reset.sum() > 1
    assert np.abs((found - wanted) / spans).max() <= 1e-4
    assert wanted.std(0).min() > 0.0
