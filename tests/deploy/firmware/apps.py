"""The Crazyflie app behind stand-in headers, as a library of this machine."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

HEADERS = Path(__file__).parent / "crazyflie_headers_stand_in"
FLAGS = ("-Os", "-Werror", "-Wall", "-Wmissing-braces", "-Wdouble-promotion", "-std=gnu11")
"""Those of the Crazyflie's firmware."""
DISABLED, POSITION_MODE, VELOCITY_MODE = 0, 1, 2
"""Modes of an axis of a setpoint."""
STEP = 10
"""Ticks of 1 ms in a step of the stand-in policy."""
AT_REST = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
"""1 m up, level, where the setpoint is."""
OFF = (0.0,) * 4

Tick = Callable[..., tuple[float, ...]]


def shared(folder: Path, *sources: str, include: Sequence[str] = ()) -> ctypes.CDLL:
    library = folder / "library.so"
    command = ["gcc", *FLAGS, "-fsanitize=undefined", "-fno-sanitize-recover=all", "-shared", "-fPIC"]
    subprocess.run([*command, *include, *sources, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def load_app(folder: Path) -> tuple[ctypes.CDLL, Tick]:
    """The app in `folder`, and one tick of its controller: forces of a vehicle's state, the mode or modes of a
    setpoint, the tick, and the tick at which the setpoint was set (None: now)."""
    sources = [str(path) for path in (folder / "src").glob("*.c")] + [str(HEADERS / "shim.c")]
    app = shared(folder, *sources, include=(f"-I{folder}/src", f"-I{HEADERS}"))
    app.controllerOutOfTreeTest.restype = ctypes.c_bool

    def tick(
        values: Sequence[float] = AT_REST,
        mode: int | tuple[int, int, int] = POSITION_MODE,
        tick: int = 0,
        stamp: int | None = None,
    ) -> tuple[float, ...]:
        forces = (ctypes.c_float * 5)()
        modes = (ctypes.c_int * 3)(*(mode if isinstance(mode, tuple) else (mode,) * 3))
        times = (ctypes.c_uint32(tick), ctypes.c_uint32(tick if stamp is None else stamp))
        app.shim_tick((ctypes.c_float * 19)(*values), modes, *times, forces)
        assert forces[4] == 2.0  # controlModeForce
        return tuple(forces[:4])

    return app, tick


def changed(index: int, value: float) -> list[float]:
    values = list(AT_REST)
    values[index] = value
    return values
