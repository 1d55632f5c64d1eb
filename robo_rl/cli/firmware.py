"""`robo-rl firmware BUNDLE OUT`: a bundle as firmware, for a microcontroller or an autopilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import tyro

from policies.errors import UserError
from robo_rl.cli.common import Folder, kernel_check
from robo_rl.cli.parsing import parse

CRAZYFLIE_RATE = 500.0
"""Hz at which the Crazyflie's loop steps a controller of motors."""


@dataclass(frozen=True)
class Arguments:
    """Turn a bundle into firmware: an image for an STM32F405, or a folder for somebody else's build."""

    bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl export` wrote, or one that `robo-rl codegen` wrote with the bundle's manifest.json in it."""
    out: tyro.conf.Positional[Folder]
    """Folder of the firmware; older firmware there is replaced whole, anything else is left alone."""
    target: Literal["stm32f405", "crazyflie", "cmake", "zephyr", "px4"] = "stm32f405"
    """What it is for; only stm32f405 is compiled here."""
    link: Literal["lockstep", "uart"] = "lockstep"
    """Of an STM32F405 image: in step with a simulator, or in real time on a serial port."""
    kernel: Literal["c", "asm", "int8"] = "c"
    """How the network's layers are computed. int8 is written only if it does as well as float32 in simulation."""
    rate: float | None = None
    """Steps in Hz; the bundle's own by default, and 500 for a Crazyflie."""
    ungated: bool = False
    """With --kernel int8: write it without having flown it against float32 in simulation; the README says so."""
    thrust: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Of crazyflie and px4: c0, c1, c2 of a motor's force c0 + c1 u + c2 u^2 at the share u of its highest speed."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "firmware", argv)
    from deploy.errors import BundleError
    from deploy.firmware.build import BIN, write_firmware

    generated = (arguments.bundle / "policy.c").is_file()
    rate = arguments.rate
    if rate is None and arguments.target == "crazyflie" and not generated:
        rate = CRAZYFLIE_RATE
    try:
        folder = write_firmware(
            arguments.bundle,
            arguments.out,
            arguments.target,
            arguments.link,
            arguments.kernel,
            rate,
            arguments.thrust,
            check=kernel_check(arguments.kernel, arguments.ungated),
        )
    except BundleError as error:
        raise UserError(str(error)) from None
    image = folder / BIN
    built = f", {image.stat().st_size} bytes of flash" if image.exists() else ", not compiled here"
    print(f"{folder}: firmware for {arguments.target}{built}; README.md says how to go on")
    return 0
