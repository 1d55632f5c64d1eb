"""MuJoCo's own warnings are printed and appended to a file in the working folder: failed worlds are ours to report."""

from __future__ import annotations

import ctypes
from pathlib import Path

import mujoco


def silence() -> None:
    """Give MuJoCo a warning handler that does nothing, for this process.

    The handler is a C function that reads its text and has no effect (strlen), since MuJoCo's threads call it
    without Python's lock.
    """
    library = next(Path(mujoco.__file__).parent.glob("libmujoco.so.*"), None)
    if library is None:
        return
    handler = ctypes.c_void_p.in_dll(ctypes.CDLL(str(library)), "mju_user_warning")
    handler.value = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
