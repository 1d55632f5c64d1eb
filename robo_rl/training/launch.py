"""Training with several processes on this machine, without torchrun: this process becomes the first of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch._C._distributed_c10d import TCPStore

from robo_rl.training import parallel
from robo_rl.workflows.processes import ProcessFailed, command

STORE_PORT = "ROBO_RL_STORE_PORT"
"""In the environment of the other processes: the local port of the store through which all find each other."""
_LOOPBACK = "127.0.0.1"
_PATIENCE = 300.0
"""Seconds within which every process must have started."""


@contextmanager
def together(processes: int, arguments: Sequence[str], device: str) -> Iterator[None]:
    """Run the block as process 0 of `processes`; the others run `robo-rl ARGUMENTS`, silently.

    They end with the block. Raises UserError for more processes than cores, and ProcessFailed when one of them ends
    early, with the last line it wrote.
    """
    parallel.check_cores(processes, device)
    if sys.platform.startswith("linux"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = TCPStore(_LOOPBACK, 0, processes, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory() as logs:
        others = [_start(rank, processes, arguments, store.port, Path(logs)) for rank in range(1, processes)]
        try:
            _wait(store, others, Path(logs))
            parallel.join(device, 0, processes, store)
            try:
                yield
            except RuntimeError as error:
                # A process that has died shows as a broken connection here; its own words say more.
                time.sleep(0.5)
                _complain_of_the_dead(others, Path(logs), error)
                raise
            parallel.leave()
        finally:
            _end(others)


def joined_store() -> tuple[int, int, TCPStore] | None:
    """Rank, number and store of a process that `together` started; None for any other."""
    port = os.environ.get(STORE_PORT)
    if port is None:
        return None
    rank, size = parallel.announced()
    store = TCPStore(_LOOPBACK, int(port), size, is_master=False)
    store.set(f"ready{rank}", "yes")
    return rank, size, store


def _start(rank: int, processes: int, arguments: Sequence[str], port: int, logs: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ, STORE_PORT: str(port), "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
    }  # fmt: skip
    with (logs / str(rank)).open("wb") as log:
        return subprocess.Popen(command(arguments), env=environment, stdout=subprocess.DEVNULL, stderr=log)


def _wait(store: TCPStore, others: Sequence[subprocess.Popen[bytes]], logs: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    keys = [f"ready{rank}" for rank in range(1, len(others) + 1)]
    while not store.check(keys):
        _complain_of_the_dead(others, logs, None)
        if time.monotonic() > deadline:
            raise ProcessFailed(f"not all of {len(others) + 1} processes were ready in {_PATIENCE:g} s")
        time.sleep(0.05)


def _complain_of_the_dead(others: Sequence[subprocess.Popen[bytes]], logs: Path, cause: BaseException | None) -> None:
    for rank, process in enumerate(others, 1):
        if process.poll():
            lines = (logs / str(rank)).read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "it wrote nothing"
            raise ProcessFailed(
                f"process {rank} of {len(others) + 1} ended with {process.returncode}: {last}; "
                "go on from the last checkpoint with --resume"
            ) from cause


def _end(others: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 10.0
    for process in others:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
