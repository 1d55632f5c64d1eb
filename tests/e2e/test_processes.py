"""Several real processes train what one trains alone, stop together, and go on as another number of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from robo_rl.cli.main import main
from robo_rl.training import checkpoint, config, runner
from robo_rl.training.parallel import cores
from robo_rl.workflows.processes import command
from tests.robo_rl.equality import assert_equal

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(len(cores()) < 2, reason="two processes need two cores"),
]
SETTINGS = [
    *("--num-worlds", "32", "--rollout-steps", "8", "--epochs", "2", "--minibatches", "2"),
    *("--actor-hidden", "16", "--critic-hidden", "16", "--checkpoint-every", "2", "--seed", "5"),
]


PPO = ("--algorithm", "ppo")
HIB = ("--algorithm", "distill", "--arm", "hib", "--actor", "history", "--history", "3", "--history-code", "4")
RPD = ("--algorithm", "distill", "--arm", "rpd")


def start(
    run: Path, *more: str, prefix: list[str] | None = None, method: tuple[str, ...] = PPO
) -> subprocess.Popen[str]:
    arguments = ["train", "crazyflie-hover", *method, "--run-dir", str(run), *more]
    line = command(arguments) if prefix is None else [*prefix, *command(arguments)[1:]]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train(run: Path, *more: str) -> int:
    """Train in this process: what nobody stops and nobody joins needs none of its own."""
    return main(["train", "crazyflie-hover", "--algorithm", "ppo", "--run-dir", str(run), *more])


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors


def learned(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = checkpoint.load(run / runner.CHECKPOINT)["algorithm"]
    return found


def weights(run: Path) -> dict[str, torch.Tensor]:
    saved = learned(run)
    return {**{f"actor.{k}": v for k, v in saved["graph"].items()}, **saved["critic"]}


@pytest.mark.slow
@pytest.mark.parametrize("method", [PPO, HIB, RPD], ids=["ppo", "hib", "rpd"])
def test_two_processes_learn_what_one_learns_with_as_many_worlds(method: tuple[str, ...], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    short = [*SETTINGS, "--iterations", "2"]
    assert main(["train", "crazyflie-hover", *method, "--run-dir", str(one), *short, "--blocks", "2"]) == 0
    finish(start(two, *short, "--processes", "2", method=method))
    ours, theirs = weights(one), weights(two)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=1e-5, atol=1e-5, msg=name)
    # They moved at all, and each block drew for itself.
    untrained = runner.build(one, config.load(one / runner.CONFIG)).state_dict()["graph"]
    assert any(not torch.equal(value, ours[f"actor.{name}"]) for name, value in untrained.items())
    blocks = learned(two)["blocks"]
    assert len(blocks) == 2
    assert not torch.equal(blocks[0]["sensors"]["position"], blocks[1]["sensors"]["position"])


@pytest.mark.slow
def test_a_signal_stops_both_and_the_run_goes_on_exactly_as_one_that_torchrun_started(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    settings = [*SETTINGS, "--iterations", "60"]
    process = start(stopped, *settings, "--processes", "2")
    wait_for_lines(process, stopped, 5)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 143, errors
    assert "checkpoint saved" in errors
    assert "Traceback" not in errors
    finish(start(stopped, "--seed", "5", "--resume", "--processes", "2"))
    # Not at the same time as the others: both would look for a free port.
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finish(start(straight, *settings, prefix=launcher))
    assert_equal(learned(straight), learned(stopped))


@pytest.mark.slow
def test_a_process_that_dies_ends_the_training_with_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(run, *SETTINGS, "--iterations", "100000", "--processes", "2")
    wait_for_lines(process, run, 3)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "process 1 of 2 ended with -9" in errors
    assert "Traceback" not in errors
    assert checkpoint.load(run / runner.CHECKPOINT)["iteration"] >= 2


def test_more_processes_than_cores_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = len(cores()) + 1
    assert train(tmp_path / "run", *SETTINGS, "--processes", str(many)) == 2
    assert capsys.readouterr().err.strip().splitlines() == [
        f"robo-rl: error: {many} processes are more than the {many - 1} cores here; use --processes {many - 1}"
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_mistake_that_only_the_processes_find_is_one_line(tmp_path: Path) -> None:
    process = start(tmp_path / "run", *SETTINGS, "--blocks", "3", "--processes", "2")
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 2
    assert errors.strip().splitlines() == [
        "robo-rl: error: 32 worlds don't divide into 3 equal blocks; change num_worlds or blocks"
    ]
    assert not (tmp_path / "run").exists()


def wait_for_lines(process: subprocess.Popen[str], run: Path, lines: int) -> None:
    while process.poll() is None:
        if len(runner.read_metrics(run)) >= lines:
            return
        time.sleep(0.01)
    pytest.fail(f"training ended too early: {process.communicate()}")
