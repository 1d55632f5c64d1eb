"""Runs that change their device: a checkpoint that a GPU wrote is imitated by the generator states that one has."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from robo_rl.cli.main import main
from robo_rl.training import checkpoint, config, runner
from sim.tasks import TASKS
from tests.robo_rl.tiny_environment import point_task
from tests.robo_rl.training.test_runner import CONFIG, assert_same, silent, stop_after

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


@pytest.fixture(autouse=True)
def point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(TASKS, "point", point_task())
    monkeypatch.chdir(tmp_path)


def as_of_a_gpu(value: Any) -> Any:
    """The same with the states of generators replaced: 16 bytes on a GPU, 5056 on a CPU."""
    if isinstance(value, dict):
        return {name: as_of_a_gpu(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_of_a_gpu(item) for item in value]
    is_state = isinstance(value, torch.Tensor) and value.dtype == torch.uint8 and value.numel() > 1000
    return value[:16].clone() if is_state else value


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that stopped after 7 of its 12 iterations, and says that it was on a GPU."""
    folder = tmp_path / "run"
    runner.create(folder, CONFIG)
    runner.train(folder, stop_after(7))
    saved = checkpoint.load(folder / runner.CHECKPOINT)
    changed = as_of_a_gpu(saved["algorithm"])
    assert str(changed) != str(saved["algorithm"])
    state = {**saved["random"], "cuda": [torch.zeros(16, dtype=torch.uint8)]}
    checkpoint.save(folder / runner.CHECKPOINT, {**saved, "algorithm": changed, "random": state})
    config.save(replace(CONFIG, device="cuda"), folder / runner.CONFIG)
    return folder


@needs_no_gpu
def test_a_run_from_a_gpu_goes_on_on_a_cpu_and_says_what_differs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "twin")
    assert main(["train", "point", "--resume", "--run-dir", "run"]) == 2
    assert "device is cuda, but torch finds no GPU here; use --device cpu" in capsys.readouterr().err
    assert main(["train", "point", "--resume", "--run-dir", "run", "--device", "cpu"]) == 0
    said = capsys.readouterr().err
    assert "continues from the last checkpoint on cpu instead of cuda; random draws and rounding differ there" in said
    assert config.load(run / runner.CONFIG) == CONFIG
    # The same move twice continues equally.
    runner.move(tmp_path / "twin", "cpu")
    runner.train(tmp_path / "twin", silent)
    assert_same(run, tmp_path / "twin")


@needs_no_gpu
def test_a_device_that_is_not_there_leaves_the_run_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner.create(tmp_path / "run", CONFIG)
    runner.train(tmp_path / "run", stop_after(7))
    before = (tmp_path / "run" / runner.CONFIG).read_bytes()
    assert main(["train", "point", "--resume", "--run-dir", "run", "--device", "cuda"]) == 2
    assert "device is cuda, but torch finds no GPU here" in capsys.readouterr().err
    assert (tmp_path / "run" / runner.CONFIG).read_bytes() == before


def test_nothing_but_the_device_may_change(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "point", "--resume", "--run-dir", "run", "--device", "cpu", "--seed", "9"]) == 2
    error = capsys.readouterr().err
    assert "seed is 2 in the run, 9 was given" in error and "device" not in error
    assert config.load(run / runner.CONFIG).device == "cuda"
