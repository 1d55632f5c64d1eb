"""Starting Warp without noise in a user's terminal, and launching on the stream that torch uses."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from functools import cache

import warp as wp


@cache
def start_warp() -> None:
    """Initialise Warp once, without its banner; and without its warning where a machine has no NVIDIA driver at all."""
    wp.config.log_level = max(wp.config.log_level, wp.LOG_ERROR)
    if find_library("cuda") is None:
        with _silent_stderr():
            wp.init()
    else:
        wp.init()


def launch(recorded: wp.Launch, device: str) -> None:
    """Run a recorded launch; on a GPU in torch's own stream, so that tensors are read and written in order."""
    recorded.launch(None if device == "cpu" else wp.stream_from_torch(device))


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what native code writes to the standard error stream; Python's own stream object is not touched."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
