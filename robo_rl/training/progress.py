"""The progress of a training: a bar in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from robo_rl.training.runner import Progress as Report

SHOWN = (
    "episode_return", "episode_length", "reward", "imitation_loss", "cost", "failed_share",
)  # fmt: skip
"""Metrics shown beside the bar, the most informative first: the first three of them that a trainer reports."""
PLAIN_LINES = 20
"""Lines of a whole training where there is no terminal."""


@contextmanager
def training_progress() -> Iterator[Report]:
    """Give the function that the runner calls after every iteration."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _print_line
        return
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=None, note="")

        def report(iteration: int, total: int, metrics: Mapping[str, float]) -> None:
            bar.update(task, completed=iteration, total=total, note=_note(metrics))

        yield report


@contextmanager
def picture_progress() -> Iterator[Callable[[int, int], None]]:
    """Give the function to call with the number of a film's pictures done and of all; silent without a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("filming"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("filming", total=None)
        yield lambda number, total: bar.update(task, completed=number, total=total)


def _print_line(iteration: int, total: int, metrics: Mapping[str, float]) -> None:
    if iteration % max(1, total // PLAIN_LINES) == 0 or iteration == total:
        print(f"iteration {iteration}/{total}  {_note(metrics)}", flush=True)


def _note(metrics: Mapping[str, float]) -> str:
    shown = [name for name in SHOWN if name in metrics][:3]
    return "  ".join(f"{name} {metrics[name]:.3g}" for name in shown)
