from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from policies.errors import UserError
from robo_rl.cli.main import main
from robo_rl.training import loggers
from robo_rl.training.config import TrainConfig
from robo_rl.workflows.processes import command
from tests.robo_rl.training.test_record import SMALL

TINY = [
    "train", "crazyflie-hover", "--algorithm", "ppo", "--num-worlds", "8", "--rollout-steps", "4", "--epochs", "1",
    "--minibatches", "2", "--iterations", "4", "--checkpoint-every", "2", "--actor-hidden", "4", "--critic-hidden", "4",
    "--logger", "wandb", "--run-dir",
]  # fmt: skip


@pytest.mark.slow
def test_wandb_logs_offline_and_a_resumed_run_goes_on_under_its_id(tmp_path: Path) -> None:
    run = tmp_path / "run"
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    arguments = [*TINY, str(run)]
    subprocess.run(command(arguments), env=environment, check=True, timeout=200)
    (first,) = run.glob("wandb/offline-run-*")
    (kept,) = first.glob("*.wandb")
    # wandb's own file is a log of records whose keys are plain text in it.
    assert b"policy_loss" in kept.read_bytes()
    assert list((run / "tensorboard").iterdir())
    subprocess.run(command([*arguments, "--resume"]), env=environment, check=True, timeout=200)
    assert {folder.name.rpartition("-")[2] for folder in run.glob("wandb/offline-run-*")} == {kept.stem[4:]}


def test_without_wandb_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main([*TINY, str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == (
        "robo-rl: error: wandb is not installed; it comes with: pip install 'robo-rl[wandb]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_an_unknown_logger_is_refused() -> None:
    with pytest.raises(UserError, match="logger must be one of tensorboard, wandb, got 'csv'"):
        TrainConfig("point", SMALL, logger="csv")


def test_the_default_logger_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    loggers.check(loggers.TENSORBOARD)
