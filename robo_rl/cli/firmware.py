"""`robo-rl firmware BUNDLE OUT`: write firmware with a bundle, for a microcontroller or an autopilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from robo_rl.cli.common import BundleFolder, Kernel, OptionalRate, OutFolder, kernel_check
from robo_rl.cli.parsing import parse

CRAZYFLIE_RATE = 500.0
"""Hz at which the Crazyflie's loop steps a motor controller."""


@dataclass(frozen=True)
class Arguments:
    """Write firmware with a bundle: an image for an STM32F405, or a folder for another build system."""

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote, or one of `robo-rl codegen` with the bundle's manifest.json added."""
    out: OutFolder
    """Folder for the firmware; earlier firmware is replaced as a whole, a folder with other files is refused."""
    target: Literal["stm32f405", "crazyflie", "cmake", "zephyr", "px4"] = "stm32f405"
    """Target system; only stm32f405 is compiled here."""
    link: Literal["lockstep", "uart"] = "lockstep"
    """For stm32f405: in step with a simulator, or in real time on a serial port."""
    kernel: Kernel = "c"
    """How dense layers are computed (docs/codegen.md). int8 must do as well as float32 in simulation."""
    rate: OptionalRate = None
    """Rate in Hz at which the policy is called, a whole multiple of its own; None: 500 for crazyflie, else its own."""
    ungated: bool = False
    """With --kernel int8: skip the comparison with float32 in simulation; the README then says so."""
    thrust: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """For crazyflie and px4: motor force c0 + c1 u + c2 u^2, with u the speed as a share of its highest."""


def run(argv: Sequence[str]) -> int:
    arguments = parse(Arguments, "firmware", argv)
    from deploy.firmware.build import BIN, write_firmware

    generated = (arguments.bundle / "policy.c").is_file()
    rate = arguments.rate
    if rate is None and arguments.target == "crazyflie" and not generated:
        rate = CRAZYFLIE_RATE
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
    image = folder / BIN
    built = f", {image.stat().st_size} bytes of flash" if image.exists() else ", not compiled here"
    print(f"{folder}: firmware for {arguments.target}{built}; README.md says how to continue")
    return 0
