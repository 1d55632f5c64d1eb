"""A generated policy as a shared library on this machine: steps many robots at once, with the chip's bits."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deploy.bundle.manifest import Manifest
from deploy.codegen.sources import inward
from deploy.errors import BundleError
from deploy.mcu.cases import Floats
from deploy.toolchain import run_tool, write_sources

COMPILERS = ("gcc", "clang")
FLAGS = ("-std=c99", "-O2", "-fPIC", "-shared")
_BATCH = """\
#include "policy.h"

uint32_t batch_state_bytes(void);
void batch_reset(policy_state *states, uint32_t robots);
void batch_step(policy_state *states, const policy_sensors *sensors, policy_commands *commands, uint32_t robots);

uint32_t batch_state_bytes(void) { return (uint32_t)sizeof(policy_state); }

void batch_reset(policy_state *states, uint32_t robots)
{
    uint32_t i;
    for (i = 0u; i < robots; ++i) {
        policy_reset(&states[i]);
    }
}

void batch_step(policy_state *states, const policy_sensors *sensors, policy_commands *commands, uint32_t robots)
{
    uint32_t i;
    for (i = 0u; i < robots; ++i) {
        (void)policy_step(&states[i], &sensors[i], &commands[i]);
    }
}
"""

States = npt.NDArray[np.uint8]
"""One `policy_state` per row: shape [robots, bytes]."""


class BatchLibrary:
    """A policy's C, compiled for this machine and loaded.

    Sensors are clipped to the manifest's limits, so that only the arithmetic can differ from the bundle in onnxruntime,
    because the C would refuse such readings. A reading that isn't finite still gives the safe commands.
    """

    def __init__(self, texts: Mapping[str, str], manifest: Manifest, timeout: float = 120.0) -> None:
        """Compile policy.h and policy.c of `texts` (file name -> text), within `timeout` seconds.

        Raises:
            BundleError: No compiler is installed, or the C doesn't compile.
        """
        compiler = next((name for name in COMPILERS if shutil.which(name)), None)
        if compiler is None:
            raise BundleError(f"no C compiler is installed ({' or '.join(COMPILERS)})")
        sources = {"batch.c": _BATCH} | {name: texts[name] for name in ("policy.h", "policy.c")}
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            names = write_sources(folder, sources)
            run_tool([compiler, *FLAGS, *names, "-o", "policy.so"], folder, timeout)
            # A loaded library no longer needs its file.
            self._library = ctypes.CDLL(str(folder / "policy.so"))
        self._library.batch_state_bytes.restype = ctypes.c_uint32
        self._state_bytes = int(self._library.batch_state_bytes())
        self._sensors = sum(sensor.dim for sensor in manifest.sensors)
        self._commands = sum(command.dim for command in manifest.commands)
        self._low = inward([sensor.low for sensor in manifest.sensors], up=True)
        self._high = inward([sensor.high for sensor in manifest.sensors], up=False)

    def reset(self, robots: int) -> States:
        """States [robots, bytes] after a reset."""
        states = np.zeros((robots, self._state_bytes), np.uint8)
        self._library.batch_reset(_address(states), ctypes.c_uint32(robots))
        return states

    def step(self, states: States, sensors: Floats) -> tuple[States, Floats]:
        """One call for every robot: from sensors [robots, floats of policy_sensors] to the next states and the commands
        [robots, floats of policy_commands]. `states` is not modified. Raises ValueError for another shape."""
        robots = len(states)
        if sensors.shape != (robots, self._sensors):
            raise ValueError(f"sensors must have the shape ({robots}, {self._sensors}), got {sensors.shape}")
        held = np.ascontiguousarray(np.clip(sensors, self._low, self._high), np.float32)
        following, commands = states.copy(), np.zeros((robots, self._commands), np.float32)
        self._library.batch_step(_address(following), _address(held), _address(commands), ctypes.c_uint32(robots))
        return following, commands


def _address(array: npt.NDArray[np.uint8] | Floats) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
