"""Flash and stack of generated C on a Cortex-M4F, measured where Debian's cross compiler is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMPILER = "arm-none-eabi-gcc"
FLAGS = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-std=c99", "-Wall", "-O2")


@dataclass(frozen=True)
class Measured:
    """Bytes: flash of policy.c (code and constants) and of the self-test, and the deepest frames of a step's stack."""

    compiler: str
    flash: int
    selftest_flash: int
    data: int
    stack: int


def measure(texts: Mapping[str, str]) -> Measured | None:
    """Compile policy.c and policy_selftest.c for a Cortex-M4F; None where the compiler is absent or fails."""
    if shutil.which(COMPILER) is None or shutil.which("arm-none-eabi-size") is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="ascii")
        sources = [name for name in texts if name.endswith(".c")]
        built = _run([COMPILER, *FLAGS, "-fstack-usage", "-c", *sources], folder)
        sizes = _run(["arm-none-eabi-size", *(name.replace(".c", ".o") for name in sources)], folder)
        version = _run([COMPILER, "-dumpfullversion"], folder)
        if built is None or sizes is None or version is None:
            return None
        rows = [[int(field) for field in line.split()[:3]] for line in sizes.splitlines()[1:]]
        frames = [int(line.split("\t")[1]) for line in (folder / "policy.su").read_text().splitlines()]
    by_name = dict(zip(sources, rows, strict=True))
    flash, selftest = by_name["policy.c"], by_name["policy_selftest.c"]
    # Calls go four deep at most, so the four largest frames bound the stack of a step.
    stack = sum(sorted(frames)[-4:])
    return Measured(f"gcc {version.strip()}", flash[0], selftest[0], flash[1] + flash[2], stack)


def _run(command: list[str], folder: Path) -> str | None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None
