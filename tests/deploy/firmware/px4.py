"""The PX4 module behind a transcription of PX4's interface, as a library of this machine."""

from __future__ import annotations

import ctypes
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

HEADERS = Path(__file__).parent / "px4_headers_stand_in"
Base = Literal["template", "descriptor"]
BASES: tuple[Base, ...] = ("template", "descriptor")
"""PX4's module base until early 2026, and since."""
STACK_MAIN = 4096
C_FLAGS = ("-std=gnu11", "-O1", "-fPIC", "-fsanitize=undefined", "-fno-sanitize-recover=all")
FLAGS = (
    "-std=gnu++14",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-Wfloat-equal",
    "-Wcast-align",
    "-Wshadow",
    '-DMODULE_NAME="robo_rl_policy"',
)
STEP_US = 10_000
"""A step of the stand-in policy."""
VALID = 15
"""All of xy, z, v_xy and v_z."""
NOT = math.nan
"""In a setpoint: not controlled."""
LEVEL = (0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""1 m up, level, at rest; north east down."""
THERE = (0.0, 0.0, -1.0, 0.0, 0.0, 0.0)
"""A setpoint where that vehicle is."""


def includes(folder: Path, base: Base) -> list[str]:
    return [f"-I{folder}", f"-I{folder}/src", f"-I{HEADERS}/both", f"-I{HEADERS}/{base}"]


def check(folder: Path, base: Base, *defines: str) -> subprocess.CompletedProcess[str]:
    """Compile RoboRlPolicy.cpp without linking it."""
    given = any("ROBO_RL_STACK_MAIN" in define for define in defines)
    stack = () if given else (f"-DROBO_RL_STACK_MAIN={STACK_MAIN}",)
    source = f"{folder}/RoboRlPolicy.cpp"
    command = ["g++", *FLAGS, *stack, *defines, *includes(folder, base), "-fsyntax-only", source]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load(folder: Path, base: Base, out: Path) -> ctypes.CDLL:
    """The module in `folder` with everything that it needs, as a library in the folder `out`."""
    out.mkdir()
    sources = [str(path) for path in (folder / "src").glob("*.c")]
    subprocess.run(["gcc", *C_FLAGS, f"-I{folder}/src", "-c", *sources], cwd=out, check=True)
    cpp = [f"{folder}/RoboRlPolicy.cpp", f"{HEADERS}/shim.cpp", *(str(path) for path in out.glob("*.o"))]
    flags = (*FLAGS, f"-DROBO_RL_STACK_MAIN={STACK_MAIN}", *C_FLAGS[1:])
    library = out / "module.so"
    subprocess.run(["g++", *flags, *includes(folder, base), "-shared", *cpp, "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.target_follow.restype = ctypes.c_bool
    return loaded


class Autopilot:
    """PX4 around the module: topics in PX4's frames and units, a clock of its own, one step at a time."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.now = 5_000_000
        library.shim_forget()
        self.started = library.shim_command(b"start") == 0

    def __enter__(self) -> Autopilot:
        return self

    def __exit__(self, *_: object) -> None:
        if self.interval:
            self.library.shim_command(b"stop")
            self.step()

    @property
    def interval(self) -> int:
        """us between two steps; 0 when the module is not scheduled."""
        return int(self.library.shim_interval())

    def setpoint(self, values: Sequence[float] = THERE, age: int = 0) -> None:
        """Publish a setpoint of the next step's time minus `age` us."""
        stamp = ctypes.c_uint64(self.now + STEP_US - age)
        self.library.shim_setpoint((ctypes.c_float * 6)(*values), stamp)

    def step(
        self,
        setpoint: Sequence[float] | None = None,
        vehicle: Sequence[float] = LEVEL,
        armed: bool = True,
        position: bool = True,
        valid: int = VALID,
        age: int = 0,
    ) -> list[tuple[float, ...]]:
        """One step; the motors published in it, in PX4's order. A `setpoint` is published before it."""
        if setpoint is not None:
            self.setpoint(setpoint)
        self.now += STEP_US
        self.library.shim_mode(int(armed), int(position))
        self.library.shim_vehicle((ctypes.c_float * 13)(*vehicle), valid, ctypes.c_uint64(self.now - age))
        control = (ctypes.c_float * 12)()
        count = self.library.shim_run(ctypes.c_uint64(self.now), control)
        assert all(math.isnan(value) for value in control[4:]) or count == 0
        return [tuple(control[:4])] * count
