"""`robo-rl robot NAME`: a simulated robot in real time, a process of its own behind a bridge."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from policies.errors import UserError
from real.simulated.mcu_settings import McuQuadSettings
from robo_rl.cli.common import Folder, open_bundle, os_error
from robo_rl.cli.parsing import parse

ROBOTS = {
    "crazyflie": "a quadrotor that takes rotor speeds, with its own command watchdog",
    "go1": "a quadruped that takes joint targets, with its own motor loop and command watchdog",
    "mcu-quad": "a quadrotor that a bundle's firmware flies, on an emulated microcontroller behind a serial port",
}


@dataclass(frozen=True)
class McuQuadArguments:
    """Build a bundle's firmware, and fly it on an emulated STM32F405 in a simulated quadrotor until Ctrl-C.

    A host reaches the chip's serial port at the address that is printed: `robo-rl deploy BUNDLE --serial ADDRESS`.
    """

    bundle: tyro.conf.Positional[Folder]
    """Folder that `robo-rl export` wrote; the chip flies it."""
    kernel: Literal["c", "asm", "int8"] = "c"
    """Which code computes the dense layers, as in `robo-rl codegen`."""
    rate: float | None = None
    """Rate in Hz at which the chip steps the policy: a whole multiple of the policy's own, which it is when not
    given."""
    robot: McuQuadSettings = field(default_factory=McuQuadSettings)
    """The quadrotor."""


def run(argv: Sequence[str]) -> int:
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        print("usage: robo-rl robot NAME [OPTIONS]\n\nRun a simulated robot in real time until Ctrl-C.\n")
        print("\n".join(f"  {robot:<10} {summary}" for robot, summary in ROBOTS.items()))
        print("\n`robo-rl robot NAME --help` shows a robot's options.")
        return 0
    if name not in ROBOTS:
        wrong = f"there is no robot {name!r}" if name and not name.startswith("-") else "the robot's name is missing"
        raise UserError(f"{wrong}; robots: {', '.join(ROBOTS)} (see robo-rl robot --help)")
    try:
        if name == "crazyflie":
            _crazyflie(argv[1:])
        elif name == "mcu-quad":
            _mcu_quad(argv[1:])
        else:
            _legged(name, argv[1:])
    except ValueError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"the robot can't run: {os_error(error)}") from None
    return 0


def _crazyflie(argv: Sequence[str]) -> None:
    from real.simulated import crazyflie
    from real.simulated.settings import CrazyflieSettings

    description = "Simulate a Crazyflie in real time behind a rosbridge server until Ctrl-C."
    settings = parse(CrazyflieSettings, "robot crazyflie", argv, description=description)
    crazyflie.run(settings)


def _legged(name: str, argv: Sequence[str]) -> None:
    from real.simulated import legged
    from real.simulated.legged_settings import LeggedSettings
    from sim.robots import find_robot

    description = f"Simulate the legged robot {name} in real time behind a rosbridge server until Ctrl-C."
    legged.run(find_robot(name), parse(LeggedSettings, f"robot {name}", argv, description=description))


def _mcu_quad(argv: Sequence[str]) -> None:
    from deploy.bundle.rates import substeps_at
    from deploy.errors import BundleError
    from deploy.firmware.build import build_firmware
    from real.simulated import mcu_quad
    from real.simulated.mcu_lockstep import ChipError

    arguments = parse(McuQuadArguments, "robot mcu-quad", argv)
    bundle = open_bundle(arguments.bundle)
    manifest = bundle.manifest
    with tempfile.TemporaryDirectory(prefix="robo-rl-firmware-") as scratch:
        try:
            image = build_firmware(
                arguments.bundle, Path(scratch) / "firmware", "lockstep", arguments.kernel, arguments.rate
            )
            substeps = 1 if arguments.rate is None else substeps_at(arguments.rate, manifest.timing.period)
        except BundleError as error:
            raise UserError(str(error)) from None
        command = manifest.commands[0]
        if command.name != "rotor_speed":
            raise UserError(f"mcu-quad takes rotor speeds, the bundle commands {command.name}; name a Crazyflie's")
        firmware = mcu_quad.Firmware(image, manifest.timing.period / substeps, command.low, command.high)
        try:
            mcu_quad.run(firmware, arguments.robot)
        except ChipError as error:
            raise UserError(str(error)) from None
