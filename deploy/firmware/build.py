"""Firmware from a bundle: the folders of `robo-rl firmware`, and the compiled image for an STM32F405."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.bundle.folder import check_replaceable, replace_folder
from deploy.bundle.manifest import Manifest
from deploy.bundle.reader import MANIFEST_FILE, load_bundle, parse_manifest
from deploy.codegen.generate import Check, generate
from deploy.errors import BundleError
from deploy.firmware.config import pilot_config, thrust_header
from deploy.toolchain import COMPILER, LINKER_FLAGS, MCU_FLAGS, run_tool

HERE = Path(__file__).parent
WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion", "-Wundef")
"""Every C file compiles without these warnings, on every compiler."""
IMAGE_FLAGS = ("-O2", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections", "-Wstack-usage=8192")
"""The stack has 16 kB; no function may use more than half of it."""
COMPILE = (*MCU_FLAGS, *WARNINGS, *IMAGE_FLAGS, "-Isrc")
LINK = (*LINKER_FLAGS, "-T", "src/memory.ld")
TIMEOUT = 120.0
"""Longest time in s for the compiler."""
ELF, BIN, README = "firmware.elf", "firmware.bin", "README.md"
GENERATED = ("policy.h", "policy.c", "policy_selftest.c")
ABOUT_POLICY = "POLICY.md"
"""The generator's README: the policy's sizes and how to call it."""
SHARED = ("exact.h", "vehicle.h", "guard.h", "guard.c")
"""Files of common/ in every target; `PILOT` is added in targets with the serial link."""
DESCENT = ("descent.h", "descent.c")
"""Added for the pilot, and for the Crazyflie, which descends when its radio stays silent."""
PILOT = (*DESCENT, "link.h", "link.c", "pilot.h", "pilot.c")
MOTORS = ("motors.h", "motors.c")
"""Added for autopilots that command forces."""
_BARE = ("startup.c", "registers.h", "board.h", "memory.ld")
_STM32 = {
    "lockstep": (*_BARE, "semihosting.h", "semihosting.c", "exchange.h", "exchange.c", "lockstep_main.c"),
    "uart": (*_BARE, "clock.h", "clock.c", "bench_board.c", "uart_main.c"),
}

Link = Literal["lockstep", "uart"]
Target = Literal["stm32f405", "crazyflie", "cmake", "zephyr", "px4"]
_OWN: dict[Target, frozenset[str]] = {
    "stm32f405": frozenset({"src", "Makefile", README, ELF, BIN}),
    "crazyflie": frozenset({"src", "Makefile", "Kbuild", "app-config", README, "build"}),
    "cmake": frozenset({"src", "CMakeLists.txt", "selftest.c", README, "build"}),
    "zephyr": frozenset({"src", "zephyr", "sample", "CMakeLists.txt", README, "build"}),
    "px4": frozenset({"src", "CMakeLists.txt", "Kconfig", "RoboRlPolicy.cpp", "RoboRlPolicy.hpp", README}),
}
"""Files that a target's folder may have; a folder with any other file is not replaced."""


@dataclass(frozen=True)
class Policy:
    """A policy in C with its manifest: file name -> bytes."""

    manifest: Manifest
    files: dict[str, bytes]


def build_firmware(
    source: Path | str,
    out: Path | str,
    link: Link = "lockstep",
    kernel: str = "c",
    rate: float | None = None,
    manifest: Manifest | None = None,
) -> Path:
    """Write the STM32F405 image of a bundle, with its sources, into the folder `out`; returns the path of the ELF file.

    `source` is a bundle, or a folder that `robo-rl codegen` wrote; the latter needs the bundle's `manifest.json` in it,
    or `manifest`. `link` "lockstep" runs in step with a simulator over two FIFOs, "uart" in real time. `kernel` and
    `rate` (steps in Hz) are passed to the generator. firmware.bin, beside the ELF file, is the content of the flash.

    Raises:
        BundleError: In one line: the firmware can't fly this bundle, the folder must not be replaced, or the compiler
            is missing or fails.
    """
    return write_firmware(source, out, "stm32f405", link, kernel, rate, manifest=manifest) / ELF


def write_firmware(
    source: Path | str,
    out: Path | str,
    target: Target = "stm32f405",
    link: Link = "lockstep",
    kernel: str = "c",
    rate: float | None = None,
    thrust: tuple[float, float, float] = (0.0, 0.0, 1.0),
    manifest: Manifest | None = None,
    check: Check | None = None,
) -> Path:
    """Write the folder of a `target`, whole or not at all, and return it; see `build_firmware`.

    `thrust` (c0, c1, c2) converts a motor's command for targets that command forces: the share of the largest force is
    (c0 + c1 u + c2 u^2) / (c0 + c1 + c2), with u the command divided by its upper limit. `check` is passed to the
    generator.
    """
    folder = Path(out)
    check_replaceable(folder, _OWN[target], f"firmware for {target}", "choose another folder")
    policy = policy_in_c(Path(source), kernel, rate, manifest, check)
    files = target_files(policy, target, link, thrust)
    if target == "stm32f405":
        files |= compile_image(files)
    files[README] = _readme(policy, target, link, files).encode()
    replace_folder(folder, files, lambda fresh: None)
    return folder


def policy_in_c(
    source: Path,
    kernel: str = "c",
    rate: float | None = None,
    manifest: Manifest | None = None,
    check: Check | None = None,
) -> Policy:
    """The C of a bundle, generated now or read from a folder of generated C, and its manifest."""
    if (source / GENERATED[1]).is_file():
        if rate is not None or kernel != "c":
            raise BundleError(f"{source} is generated C already; pass the bundle to choose another kernel or rate")
        policy = Policy(manifest or _manifest_beside(source), _read_generated(source))
    else:
        bundle = load_bundle(source)
        with tempfile.TemporaryDirectory() as scratch:
            generated = Path(scratch) / "generated"
            generate(source, generated, kernel, rate, check)
            policy = Policy(bundle.manifest, _read_generated(generated))
    _check_same(policy, source)
    return policy


def target_files(
    policy: Policy, target: Target, link: Link = "lockstep", thrust: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> dict[str, bytes]:
    """Every file of a target except its README and compiled files: path in the folder -> bytes."""
    files = {f"src/{name}": data for name, data in policy.files.items()}
    files["src/pilot_config.h"] = pilot_config(policy.manifest).encode()
    speaks_link = target in ("stm32f405", "cmake", "zephyr")
    for name in SHARED + (PILOT if speaks_link else ()):
        files[f"src/{name}"] = (HERE / "common" / name).read_bytes()
    if target == "stm32f405":
        for name in _STM32[link]:
            files[f"src/{name}"] = (HERE / "stm32f405" / name).read_bytes()
        files["Makefile"] = _makefile().encode()
        return files
    root = HERE / target
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != README:
            files[str(path.relative_to(root))] = path.read_bytes()
    if target in ("crazyflie", "px4"):
        files["src/thrust.h"] = thrust_header(policy.manifest, thrust).encode()
        for name in MOTORS + (DESCENT if target == "crazyflie" else ()):
            files[f"src/{name}"] = (HERE / "common" / name).read_bytes()
    return files


def compile_image(files: dict[str, bytes]) -> dict[str, bytes]:
    """The ELF image of the C files in `files`, and the content of the flash."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        sources = sorted(name for name in files if name.endswith(".c"))
        command = [COMPILER, *COMPILE, *sources, *LINK, "-o", ELF]
        run_tool(command, folder, TIMEOUT, "GCC 10 or newer may compile it, or choose another kernel")
        run_tool(["arm-none-eabi-objcopy", "-O", "binary", ELF, BIN], folder, TIMEOUT)
        return {name: (folder / name).read_bytes() for name in (ELF, BIN)}


def _makefile() -> str:
    return f"""\
# Rebuild the image with robo-rl's flags: make. Flash it over SWD with st-flash: make flash.
{ELF}: $(wildcard src/*.c) $(wildcard src/*.h) src/memory.ld
\t{COMPILER} {" ".join(COMPILE)} $(sort $(wildcard src/*.c)) {" ".join(LINK)} -o $@
\tarm-none-eabi-objcopy -O binary $@ {BIN}

.PHONY: flash
flash: {ELF}
\tst-flash write {BIN} 0x08000000
"""


def _read_generated(folder: Path) -> dict[str, bytes]:
    missing = [name for name in GENERATED if not (folder / name).is_file()]
    if missing:
        raise BundleError(f"{folder} lacks {', '.join(missing)}; generate it again with `robo-rl codegen`")
    files = {name: (folder / name).read_bytes() for name in GENERATED}
    about = folder / README
    return files | ({ABOUT_POLICY: about.read_bytes()} if about.is_file() else {})


def _manifest_beside(folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise BundleError(f"{folder} lacks {MANIFEST_FILE}; copy the bundle's there, or pass the bundle itself")
    return parse_manifest(path.read_bytes())


def _check_same(policy: Policy, source: Path) -> None:
    """Raise BundleError for C of another bundle or with another period than the manifest's."""
    header = policy.files["policy.h"].decode()
    found = re.search(r'^#define POLICY_MODEL_SHA256 "([0-9a-f]{64})"', header, re.MULTILINE)
    if found is None or found.group(1) != policy.manifest.identity.policy_sha256:
        raise BundleError(f"{source}: policy.h is not of the manifest's policy; generate it from the same bundle")
    period = re.search(r"^#define POLICY_PERIOD_US (\d+)", header, re.MULTILINE)
    wanted = policy.manifest.timing.period * 1e6
    if period is None or abs(int(period.group(1)) - wanted) > 0.5:
        raise BundleError(f"{source}: policy.h has another period than the manifest's {wanted:g} us")


def _readme(policy: Policy, target: Target, link: Link, files: dict[str, bytes]) -> str:
    identity = policy.manifest.identity
    lines = [
        f"# {identity.name} for {target}",
        "",
        f"Written by `robo-rl firmware`. Task {identity.task}, policy {identity.policy_sha256}.",
    ]
    if target == "stm32f405":
        lines += [f"Link: {link}. {BIN} has {len(files[BIN])} bytes of 1048576."]
    lines += [""]
    return "\n".join([*lines, ""]) + (HERE / target / README).read_text(encoding="utf-8")
