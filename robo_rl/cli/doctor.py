"""`robo-rl doctor`: which extras are installed, which commands they enable, and what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from robo_rl.cli.common import OptionalFile, check_writable, write_json
from robo_rl.cli.parsing import parse
from robo_rl.output import results

NEEDS: dict[str, tuple[str, ...]] = {
    "base": ("numpy", "tyro", "rich", "pyyaml", "cattrs"),
    "robot": ("onnxruntime", "roslibpy", "websockets", "mcap", "pyserial"),
    "train": ("torch", "warp-lang", "tensorboard", "onnx", "onnxscript", "onnxruntime", "matplotlib", "mujoco"),
    "view": ("viser", "mjviser", "imageio-ffmpeg", "pillow"),
    "sim2sim": ("pybullet",),
    "doors": ("gymnasium", "rsl-rl-lib", "tensordict"),
    "bench": ("emlearn",),
    "stats": ("adastop", "optuna"),
    "wandb": ("wandb",),
    "menagerie": ("mujoco-menagerie",),
    "dev": ("pytest", "hypothesis", "ruff", "mypy"),
}
USES = {
    "base": "doctor, help",
    "robot": "verify, bridge, deploy",
    "train": "tasks, inspect, train, eval, export, robot, bench; demo and the loop benchmark together with robot",
    "view": "play, report; together with train",
    "sim2sim": "sim2sim, together with train",
    "doors": "gymnasium and rsl_rl on our tasks, bench ppo; together with train",
    "bench": "bench mcu's comparison with emlearn",
    "stats": "compare, sweep",
    "wandb": "train --logger wandb",
    "menagerie": "train --robot.mjcf menagerie:NAME",
    "dev": "make test, make lint",
}

TOOLS = ("gcc", "clang", "arm-none-eabi-gcc", "qemu-system-arm", "cppcheck")
"""Programs that are not Python packages: compilers, the microcontroller's emulator, and a static checker."""


@dataclass(frozen=True)
class Arguments:
    """Show which extras are installed, which commands they enable, and how to install the others.

    Exit code 0 when at least one of the extras robot and train is complete, else 1.
    """

    json: OptionalFile = None
    """File for the result, as JSON."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "doctor", argv)
    check_writable(arguments.json)
    report = examine()
    _print(report)
    write_json(arguments.json, report)
    return 0 if report["ok"] else 1


def examine() -> dict[str, Any]:
    """All extras with their packages' versions (None if missing), tools and notes on this machine; imports none."""
    extras: dict[str, Any] = {}
    for extra, packages in NEEDS.items():
        versions = {package: results.installed_version(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        extras[extra] = {"usable": not missing, "missing": missing, "versions": versions, "for": USES[extra]}
    tools = {tool: shutil.which(tool) is not None for tool in TOOLS}
    machine = results.machine()
    usable = extras["base"]["usable"] and (extras["robot"]["usable"] or extras["train"]["usable"])
    return {"ok": usable, "extras": extras, "tools": tools, "machine": machine, "notes": _notes(extras, tools, machine)}


def _notes(extras: dict[str, Any], tools: dict[str, bool], machine: dict[str, Any]) -> list[str]:
    notes = []
    for extra, found in extras.items():
        if found["missing"]:
            install = "robo-rl" if extra == "base" else f"'robo-rl[{extra}]'"
            notes.append(f"for {found['for']}: pip install {install} (missing: {', '.join(found['missing'])})")
    absent = [tool for tool, there in tools.items() if not there]
    if absent:
        notes.append(
            f"to compile and emulate generated C, and for bench mcu: make mcu-tools (missing: {', '.join(absent)})"
        )
    torch = extras["train"]["versions"]["torch"]
    if machine["gpus"] and torch is not None and torch.endswith("+cpu"):
        notes.append(f"there is a GPU, but torch {torch} is a CPU build; install a CUDA build to use it")
    if not machine["gpus"]:
        notes.append("no NVIDIA GPU: training runs on the CPU")
    if machine["cores"] < 2:
        notes.append("one processor core: a control loop and a simulated robot on it will have jitter")
    return notes


def _print(report: dict[str, Any]) -> None:
    console, machine = Console(), report["machine"]
    table = Table("extra", "usable", "for", "packages")
    for extra, found in report["extras"].items():
        versions = (f"{name} {version or 'MISSING'}" for name, version in found["versions"].items())
        table.add_row(extra, "yes" if found["usable"] else "no", found["for"], "\n".join(versions))
    console.print(table)
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}",
        soft_wrap=True,
    )
    console.print(f"GPU: {', '.join(machine['gpus']) or 'none'}")
    for note in report["notes"]:
        console.print(f"- {note}", markup=False)
