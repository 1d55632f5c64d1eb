"""Compilers and the emulator as programs: found on the PATH, run with a time limit, their complaints in one line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deploy.errors import BundleError


def find_tool(name: str) -> str:
    """The path of a program; a BundleError that says how to install it when it isn't there."""
    path = shutil.which(name)
    if path is None:
        raise BundleError(f"{name} is not installed: make mcu-tools")
    return path


def run_tool(command: Sequence[str | Path], folder: Path, timeout: float) -> str:
    """Run a program in `folder` and return what it printed.

    Raises:
        BundleError: It isn't installed, took longer than `timeout` seconds, or failed; with its exit code and the first
            line of its complaint.
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
        complaint = [text for text in (done.stderr + done.stdout).splitlines() if text.strip()]
        first = next((text for text in complaint if "error" in text), complaint[0] if complaint else "it says nothing")
        raise BundleError(f"{name} failed with exit code {done.returncode}: {first}")
    return done.stdout


def write_sources(folder: Path, sources: dict[str, str]) -> list[str]:
    """Write files by name into `folder`; returns the names of those to compile."""
    for name, text in sources.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [name for name in sources if name.endswith(".c")]
