"""The pybullet module, imported without the banner that its C code prints."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib import import_module
from typing import Any


def load() -> Any:
    """The pybullet module. Raises ModuleNotFoundError where it is not installed.

    At its first import its C code prints its build time to standard output, which belongs to our results.
    """
    if "pybullet" in sys.modules:
        return sys.modules["pybullet"]
    sys.stdout.flush()
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    silence, kept = os.open(os.devnull, os.O_WRONLY), [os.dup(1), os.dup(2)]
    try:
        for stream in (1, 2):
            os.dup2(silence, stream)
        return import_module("pybullet")
    finally:
        # What C has buffered would be printed later.
        libc.fflush(None)
        for stream, original in zip((1, 2), kept, strict=True):
            os.dup2(original, stream)
            os.close(original)
        os.close(silence)
