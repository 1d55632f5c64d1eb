"""Compilers and the emulator as programs: found on the PATH, run with a time limit, their errors as one line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.errors import BundleError

COMPILER = "arm-none-eabi-gcc"
MCU_FLAGS = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
LINKER_FLAGS = ("-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-Wl,--build-id=none")


def find_tool(name: str) -> str:
    """The path of a program; a BundleError that says how to install it when it is missing."""
    path = shutil.which(name)
    if path is None:
        raise BundleError(f"{name} is not installed; `make mcu-tools` installs it")
    return path


def run_tool(command: Sequence[str | Path], folder: Path, timeout: float, hint: str = "") -> str:
    """Run a program in `folder` and return what it printed.

    Raises:
        BundleError: It is not installed, took longer than `timeout` seconds, or failed; then with its exit code, its
            first line with an error, and `hint`, which says what may help.
    """
    name = str(command[0])
    line = [find_tool(name), *(str(word) for word in command[1:])]
    try:
        done = subprocess.run(
            line, cwd=folder, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{name} did not end within {timeout:g} s") from error
    if done.returncode != 0:
        printed = [text for text in (done.stderr + done.stdout).splitlines() if text.strip()]
        # A linker says what overflowed before it says "error".
        wrong = next((text for text in printed if re.search("error|overflowed", text)), (*printed, "no message")[0])
        advice = f"; {hint}" if hint else ""
        raise BundleError(f"{name} failed with exit code {done.returncode}: {wrong.strip()}{advice}")
    return done.stdout


def write_sources(folder: Path, sources: Mapping[str, str]) -> list[str]:
    """Write files by name into `folder`; returns the names of those to compile."""
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [name for name in sources if name.endswith(".c")]
