"""`robo-rl robot NAME`: a simulated robot in real time, a process of its own behind a bridge."""

from __future__ import annotations

from collections.abc import Sequence

from policies.errors import UserError
from robo_rl.cli.common import os_error
from robo_rl.cli.parsing import parse

ROBOTS = {
    "crazyflie": "a quadrotor that takes rotor speeds, with its own command watchdog",
    "go1": "a quadruped that takes joint targets, with its own motor loop and command watchdog",
}


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
