"""Trainings of runs that end after some time, if not before."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from robo_rl.training import record, runner


def trained_seconds(folder: Path) -> float:
    """How long the run in `folder` has been trained."""
    metrics = runner.read_metrics(folder)
    return float(metrics[-1]["seconds"]) if metrics else 0.0


def train_until(folder: Path, seconds: float) -> None:
    """Train the run in `folder` on until it has taken `seconds` in all, or is complete."""
    spent, began = trained_seconds(folder), time.perf_counter()

    def watch(iteration: int, total: int, metrics: Mapping[str, float]) -> None:
        now = spent + time.perf_counter() - began
        if iteration % 50 == 0:
            print(f"{folder.name}: {now:.0f} s, iteration {iteration} of {total}", flush=True)
        if now >= seconds:
            # The runner stops at this signal after the iteration, with a checkpoint.
            os.kill(os.getpid(), signal.SIGTERM)

    if spent < seconds and not record.is_finished(folder):
        runner.train(folder, watch)
