"""`robo-rl robot NAME|BUNDLE`: a simulated robot in real time, a process of its own behind a bridge."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from policies.errors import UserError
from real.simulated.mcu_settings import McuQuadSettings
from robo_rl.cli.common import BundleFolder, Kernel, OptionalRate, os_error
from robo_rl.cli.parsing import parse

if TYPE_CHECKING:
    from sim.robots.robot import Robot

QUADROTORS = {
    "crazyflie": "a quadrotor that takes rotor speeds, with its own command watchdog",
    "mcu-quad": "a quadrotor that a bundle's firmware flies, on an emulated microcontroller behind a serial port",
}
USAGE = """usage: robo-rl robot NAME|BUNDLE [OPTIONS]

Run a simulated robot in real time until Ctrl-C: one of those below, or the robot of the bundle in a folder.

{robots}

`robo-rl robot NAME --help` shows a robot's options."""


@dataclass(frozen=True)
class McuQuadArguments:
    """Build a bundle's firmware, and fly it on an emulated STM32F405 in a simulated quadrotor until Ctrl-C.

    A host reaches the chip's serial port at the address that is printed: `robo-rl deploy BUNDLE --serial ADDRESS`.
    """

    bundle: BundleFolder
    """Folder that `robo-rl export` wrote; the chip flies it."""
    kernel: Kernel = "c"
    """Which code computes the dense layers, as in `robo-rl codegen`."""
    rate: OptionalRate = None
    """Rate in Hz at which the chip steps the policy, a whole multiple of the policy's own; None: the policy's own."""
    robot: McuQuadSettings = field(default_factory=McuQuadSettings)
    """The quadrotor."""


def run(argv: Sequence[str]) -> int:
    name = argv[0] if argv else ""
    if name in ("-h", "--help"):
        print(USAGE.format(robots="\n".join(f"  {robot:<10} {summary}" for robot, summary in robots().items())))
        return 0
    if not name or name.startswith("-"):
        raise UserError(f"the robot is missing; name one of {', '.join(robots())}, or a bundle's folder")
    try:
        if name == "crazyflie":
            _crazyflie(argv[1:])
        elif name == "mcu-quad":
            _mcu_quad(argv[1:])
        elif name in robots():
            _legged(name, argv[1:])
        else:
            _of_bundle(Path(name), argv[1:])
    except OSError as error:
        raise UserError(f"the robot can't run: {os_error(error)}") from None
    return 0


def robots() -> dict[str, str]:
    """The robots by name, with a summary of each."""
    from sim.robots import ROBOTS
    from sim.robots.legs import Legs

    summary = "a legged robot that takes joint targets, with its own motor loop and watchdog"
    return {**QUADROTORS, **{name: summary for name, robot in ROBOTS.items() if robot.has(Legs)}}


def _crazyflie(argv: Sequence[str]) -> None:
    from real.simulated import crazyflie
    from real.simulated.settings import CrazyflieSettings

    description = "Simulate a Crazyflie in real time behind a rosbridge server until Ctrl-C."
    crazyflie.run(parse(CrazyflieSettings, "robot crazyflie", argv, description=description))


def _legged(name: str, argv: Sequence[str], robot: Robot | None = None, elevation_rate: float = 0.0) -> None:
    from real.simulated import legged
    from real.simulated.legged_settings import RobotSettings
    from sim.robots import find_robot

    found = robot or find_robot(name)
    description = f"Simulate the legged robot {found.name} in real time behind a rosbridge server until Ctrl-C."
    default = RobotSettings(elevation_rate=elevation_rate)
    legged.run(found, parse(RobotSettings, f"robot {name}", argv, default, description))


def _of_bundle(folder: Path, argv: Sequence[str]) -> None:
    """The robot of the task that a bundle was trained in."""
    if not folder.exists():
        raise UserError(f"there is no robot {str(folder)!r} and no such folder; robots: {', '.join(robots())}")
    from deploy.bundle.reader import load_bundle
    from real.robots.wires import needs_map
    from real.simulated.legged_settings import MAP_RATE
    from robo_rl.training.tasks import task_of_bundle
    from sim.robots.legs import Legs

    bundle = load_bundle(folder)
    robot = task_of_bundle(bundle).robot
    if robot is not None and robot.has(Legs):
        _legged(str(folder), argv, robot, MAP_RATE if needs_map(bundle.manifest) else 0.0)
    elif bundle.manifest.kind == "flight":
        _crazyflie(argv)
    else:
        raise UserError(
            f"{folder} is of kind {bundle.manifest.kind}, and only robots with legs or rotors are simulated"
        )


def _mcu_quad(argv: Sequence[str]) -> None:
    from deploy.bundle.rates import substeps_at
    from deploy.bundle.reader import load_bundle
    from deploy.firmware.build import build_firmware
    from real.simulated import mcu_quad
    from real.simulated.mcu_lockstep import ChipError

    arguments = parse(McuQuadArguments, "robot mcu-quad", argv)
    manifest = load_bundle(arguments.bundle).manifest
    with tempfile.TemporaryDirectory(prefix="robo-rl-firmware-") as scratch:
        image = build_firmware(
            arguments.bundle, Path(scratch) / "firmware", "lockstep", arguments.kernel, arguments.rate
        )
        substeps = substeps_at(arguments.rate, manifest.timing.period)
        command = manifest.commands[0]
        if command.name != "rotor_speed":
            raise UserError(f"mcu-quad takes rotor speeds, the bundle commands {command.name}; name a Crazyflie's")
        firmware = mcu_quad.Firmware(image, manifest.timing.period / substeps, command.low, command.high)
        try:
            mcu_quad.run(firmware, arguments.robot)
        except ChipError as error:
            raise UserError(str(error)) from None
