"""Flash and stack of generated C on a Cortex-M4F, measured with Debian's cross compiler if it is installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import BundleError
from deploy.toolchain import COMPILER, MCU_FLAGS, run_tool, write_sources

FLAGS = (*MCU_FLAGS, "-std=c99", "-Wall", "-O2")
_SIZE = "arm-none-eabi-size"
_SECONDS = 120.0


@dataclass(frozen=True)
class Measured:
    """Bytes: flash of policy.c (code and constants) and of the self-test, static RAM, and a bound of a step's stack."""

    compiler: str
    flash: int
    selftest_flash: int
    data: int
    stack: int


def measure(texts: Mapping[str, str]) -> Measured | None:
    """Compile policy.c and policy_selftest.c for a Cortex-M4F; None if the compiler is missing or fails."""
    if shutil.which(COMPILER) is None or shutil.which(_SIZE) is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = write_sources(folder, texts)
        objects = [name.replace(".c", ".o") for name in names]
        try:
            run_tool([COMPILER, *FLAGS, "-fstack-usage", "-c", *names], folder, _SECONDS)
            sizes = run_tool([_SIZE, *objects], folder, _SECONDS)
            version = run_tool([COMPILER, "-dumpfullversion"], folder, _SECONDS)
        except BundleError:
            return None
        rows = [[int(field) for field in line.split()[:3]] for line in sizes.splitlines()[1:]]
        frames = [int(line.split("\t")[1]) for line in (folder / "policy.su").read_text().splitlines()]
    by_name = dict(zip(names, rows, strict=True))
    flash, selftest = by_name["policy.c"], by_name["policy_selftest.c"]
    # Calls are at most four deep, so the four largest frames bound the stack of a step.
    stack = sum(sorted(frames)[-4:])
    return Measured(f"gcc {version.strip()}", flash[0], selftest[0], flash[1] + flash[2], stack)
