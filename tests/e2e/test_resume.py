"""A training killed with SIGKILL, at no moment of its own choosing, and resumed equals one that was left alone."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from robo_rl.cli.main import main
from robo_rl.training import checkpoint, loggers, record, runner
from tests.e2e.forked import Forked
from tests.robo_rl.equality import assert_equal

SMALL = {
    "ppo": "--num-worlds 64 --rollout-steps 8 --epochs 2 --minibatches 2 --iterations 120 --checkpoint-every 7"
    " --actor-hidden 16 --critic-hidden 16",
    "flight": "--worlds 32 --horizon 20 --iterations 30 --warm-up-iterations 12 --warm-up-worlds 64"
    " --warm-up-updates 10 --warm-up-batch 256 --checkpoint-every 5",
    "sac": "--num-worlds 16 --steps 4 --updates 4 --warm-up 256 --capacity 1024 --batch 32 --iterations 80"
    " --checkpoint-every 7 --actor-hidden 16 --critic-hidden 16",
    "legged": "--num-worlds 16 --rollout-steps 8 --epochs 1 --minibatches 2 --iterations 50 --checkpoint-every 7"
    " --symmetry augment --actor-hidden 16 --critic-hidden 16",
}
TASK = {"ppo": "crazyflie-hover", "flight": "crazyflie-hover", "sac": "crazyflie-hover", "legged": "go1-velocity-flat"}
"""A training, by the name of its settings; a walking world has a curriculum, and a physics that keeps much."""

pytestmark = pytest.mark.e2e


def line(algorithm: str, run: Path, *more: str) -> list[str]:
    name = "ppo" if algorithm == "legged" else algorithm
    arguments = ["train", TASK[algorithm], "--algorithm", name, "--seed", "5", "--run-dir", str(run)]
    settings = [] if "--resume" in more else SMALL[algorithm].split()
    return [*arguments, *settings, *more]


def wait_for_lines(process: Forked, run: Path, lines: int) -> None:
    """Wait until the run has written `lines` lines of metrics."""
    while process.returncode is None:
        if len(runner.read_metrics(run)) >= lines:
            return
        time.sleep(0.005)
    pytest.fail(f"training ended too early: {process.output}")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("algorithm", "kills"), [("ppo", (4, 30)), ("flight", (9, 25)), ("sac", (20, 50)), ("legged", (20,))]
)
def test_killed_and_resumed_equals_uninterrupted(algorithm: str, kills: tuple[int, int], tmp_path: Path) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    # What nobody kills needs no process of its own, and the last part of the other goes on in yet another process.
    assert main(line(algorithm, straight)) == 0
    more: list[str] = []
    for lines in kills:
        process = Forked(line(algorithm, killed, *more), tmp_path / "log")
        wait_for_lines(process, killed, lines)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert process.returncode == -signal.SIGKILL
        assert not record.is_finished(killed)
        more = ["--resume"]
    assert main(line(algorithm, killed, "--resume")) == 0
    ours, theirs = (checkpoint.load(run / runner.CHECKPOINT) for run in (straight, killed))
    assert ours["iteration"] == theirs["iteration"]
    assert_equal(ours["algorithm"], theirs["algorithm"])
    metrics = [[{**row, "seconds": 0.0} for row in runner.read_metrics(run)] for run in (straight, killed)]
    assert metrics[0] == metrics[1]


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = Forked(line("ppo", run), tmp_path / "log")
    wait_for_lines(process, run, 3)
    process.send_signal(signal.SIGINT)
    process.wait(100)
    output = process.output
    assert process.returncode == 130
    assert "Traceback" not in output
    stopped = re.search(r"stopped after (\d+) of 120 iterations", output)
    assert stopped
    assert f"--resume --run-dir {run}" in output
    assert checkpoint.load(run / runner.CHECKPOINT)["iteration"] == int(stopped[1])
    assert os.listdir(run / loggers.TENSORBOARD)
