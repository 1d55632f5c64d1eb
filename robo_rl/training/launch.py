"""Training with several processes on this machine: the agent of torchrun starts them, watches them and ends them."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from robo_rl.workflows.processes import ProcessFailed, command

_LOOPBACK = "127.0.0.1"
_LONGEST_ITERATION = 600
"""Seconds that the processes have to end the iteration under way and to write a checkpoint after a signal."""


def run_processes(processes: int, arguments: Sequence[str]) -> int:
    """Run `robo-rl ARGUMENTS` as `processes` processes that train together, and return the exit code of the first.

    Only the first one's output is shown. A signal is passed on to all of them. Raises ProcessFailed with the last line
    that it wrote when another one fails, or when the first is killed.
    """
    # The agent's own report of a failure has many lines; ours has one.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(_LONGEST_ITERATION))
    if sys.platform.startswith("linux"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as logs:
        hidden = dict.fromkeys(range(1, processes), Std.ALL)
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
            rdzv_endpoint="localhost:0", local_addr=_LOOPBACK, max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs, redirects=hidden),
        )  # fmt: skip
        program, *rest = command(arguments)
        try:
            elastic_launch(config, program)(*rest)
        except SignalException as signal:
            return 128 + int(signal.sigval)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if rank == 0 and failure.exitcode > 0:
                # It has reported why.
                return int(failure.exitcode)
            lines = [line for log in Path(logs).rglob(f"{rank}/stderr.log") for line in log.read_text().splitlines()]
            raise ProcessFailed(
                f"process {rank} of {processes} ended with {failure.exitcode}: {(lines or ['it wrote nothing'])[-1]}; "
                "continue from the last checkpoint with --resume"
            ) from None
    return 0
