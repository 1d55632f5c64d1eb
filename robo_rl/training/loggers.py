"""Where metrics go beside a run's own files: to TensorBoard and, if asked for, to Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from policies.errors import UserError, one_line
from robo_rl.training import config
from robo_rl.training.config import TrainConfig

TENSORBOARD, WANDB = config.LOGGERS
"""Also the names of their folders in a run."""

Log = Callable[[Mapping[str, float], int], None]
"""Takes an iteration's metrics and its number."""


def check(logger: str) -> None:
    """Raise ModuleNotFoundError when a logger's library is not installed."""
    if logger == WANDB:
        import wandb  # noqa: F401


@contextmanager
def opened(run_dir: Path, configuration: TrainConfig, iteration: int) -> Iterator[Log]:
    """The function that logs the iterations after `iteration`; what was logged of them before is replaced.

    Raises UserError when wandb can't start, for want of a key or of a network.
    """
    tracking = _wandb(run_dir, configuration) if configuration.logger == WANDB else nullcontext(None)
    with tracking as track, SummaryWriter(str(run_dir / TENSORBOARD), purge_step=iteration + 1) as board:

        def log(metrics: Mapping[str, float], at: int) -> None:
            for name, value in metrics.items():
                board.add_scalar(name, value, at)
            if track is not None:
                track(metrics, at)

        yield log


@contextmanager
def _wandb(run_dir: Path, configuration: TrainConfig) -> Iterator[Log]:
    """Log to wandb's run of this folder, a new one or the one that was begun here. WANDB_MODE=offline keeps it here."""
    import wandb

    begun = sorted((run_dir / WANDB).glob("*run-*-*"))
    try:
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "robo-rl"),
            name=run_dir.name,
            group=configuration.label or None,
            config=config.to_document(configuration),
            dir=run_dir,
            id=begun[-1].name.rpartition("-")[2] if begun else None,
            resume="allow",
            settings=wandb.Settings(console="off"),
        )
    except wandb.Error as error:
        raise UserError(
            f"wandb can't start ({one_line(error)}); run `wandb login`, set WANDB_MODE=offline, or leave out --logger"
        ) from None
    with run:
        yield lambda metrics, at: run.log(dict(metrics), step=at)
