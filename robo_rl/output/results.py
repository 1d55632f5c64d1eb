"""Result files: JSON with the machine, versions, command, commit and time that produced them."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from real.recording.plain import plain as plain
from robo_rl.output.files import write_text

PACKAGES = (
    "robo-rl", "torch", "warp-lang", "mujoco", "numpy", "onnx", "onnxruntime", "roslibpy", "websockets", "mcap", "tyro",
    "rsl-rl-lib", "pybullet",
)  # fmt: skip
FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
CODE = (":(top)", ":(top,exclude)docs", ":(top,exclude)README.md")
"""Git pathspecs of everything but documentation."""
DIRTY = "-dirty"


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GB, system and GPUs; each empty or 0 where unknown."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gb": round(_memory_bytes() / 1e9, 1),
        "system": platform.platform(),
        "gpus": gpus(),
    }


def usable_cores() -> int:
    """Processor cores this process may run on, which in a container is often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def gpus() -> list[str]:
    """Names and memory of the NVIDIA GPUs that the driver lists; torch is not needed."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        listing = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listing.splitlines() if line.strip()]


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package that a result may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        version = installed_version(package)
        if version is not None:
            found[package] = version
    return found


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, None when it is not installed; nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Commit of the checkout this package runs from, followed by "-dirty" when tracked files differ from it.

    Documentation does not count: results and tables are written there while benchmarks run. None outside git.
    """
    try:
        # A package installed inside another project's checkout must not report that project's commit.
        _git("ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git("rev-parse", "HEAD")
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + (DIRTY if dirty else "")


def short_commit(commit: str) -> str:
    """The first 12 digits of a commit, with its "-dirty"."""
    return commit[:12] + (DIRTY if commit.endswith(DIRTY) else "")


def changed_since(commit: str, paths: Sequence[str]) -> bool | None:
    """Whether any of `paths` (git pathspecs from the checkout's root) differs now from `commit`; None if unknown.

    It is unknown outside git, and for a commit that this checkout does not have.
    """
    try:
        _git("cat-file", "-e", commit.removesuffix(DIRTY) + "^{commit}")
        return bool(_git("diff", "--name-only", commit.removesuffix(DIRTY), "--", *paths, at=ROOT))
    except (OSError, subprocess.SubprocessError):
        return None


def provenance() -> dict[str, Any]:
    """What every result holds beside its own keys: machine, versions, command, git commit and UTC time."""
    return {
        "machine": machine(),
        "versions": versions(),
        "command": shlex.join([_program(), *sys.argv[1:]]),
        "git_commit": git_commit(),
        "written": _now(),
    }


def write(path: Path, payload: Mapping[str, Any], origin: Mapping[str, Any] | None = None) -> None:
    """Write `payload` and its provenance as JSON, atomically. Non-finite numbers become null.

    `origin` is the provenance noted when this process began, for what it writes again and again; None: that of now.
    """
    document = plain({**payload, **(origin or provenance()), "written": _now()})
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git(*arguments: str, at: Path = FOLDER) -> str:
    command = ["git", "-C", str(at), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def _program() -> str:
    """What a user types, also where `robo-rl` was started as a module, as its own processes are."""
    started = Path(sys.argv[0])
    return "robo-rl" if started.resolve() == ROOT / "robo_rl" / "cli" / "main.py" else started.name


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
