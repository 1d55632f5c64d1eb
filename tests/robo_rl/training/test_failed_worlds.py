"""Worlds that fail in the physics end their episode alone, and their last states stay behind in the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from policies.signals import Commands
from robo_rl.algorithms.blocks import WorldBlocks
from robo_rl.training import parallel
from sim.physics.mujoco.quarantine import read_dump
from sim.tasks import find_task


def test_a_failed_world_ends_alone_and_is_written_by_block(tmp_path: Path) -> None:
    task = find_task("go1-velocity-flat")
    blocks = WorldBlocks(task, 8, 2, 0, "cpu", True, parallel.current())
    blocks.reset()
    blocks.keep_failures(tmp_path)
    second: Any = blocks.environments[1]
    second.scenario.physics.qvel[2] = np.nan
    (command,) = task.commands
    step = blocks.step(Commands({command.name: torch.zeros(8, command.dim)}))
    assert step.terminated.nonzero().tolist() == [[6]]
    assert step.reward.isfinite().all()
    assert all(value.isfinite().all() for part in (step.sensors, step.terminal_sensors) for value in part.values())
    assert blocks.metrics()["failed_worlds"] == 1.0
    (written,) = (tmp_path / "failed").rglob("*.npz")
    assert written.relative_to(tmp_path) == Path("failed/block-1/failed-1-world-2.npz")
    assert "velocity" in read_dump(written).reason
