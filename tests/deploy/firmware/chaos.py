"""A host and a vehicle full of trouble: random messages, noise on the wire, failing sensors. The same for one seed."""

from __future__ import annotations

import math
import random

from real.robots.serial_frames import Ask, Heartbeat, Hello, Request, Setpoint
from tests.deploy.firmware.chip import Chip


def upset(degrees: float) -> tuple[float, float, float, float]:
    half = math.radians(degrees) / 2.0
    return (math.cos(half), math.sin(half), 0.0, 0.0)


def messages(chaos: random.Random) -> list[Setpoint | Request | Heartbeat | Hello]:
    def place(scale: float) -> tuple[float, float, float]:
        return (chaos.gauss(0.0, scale), chaos.gauss(0.0, scale), chaos.gauss(0.0, scale))

    choices: list[Setpoint | Request | Heartbeat | Hello] = [
        *[Setpoint(place(0.3), place(0.5), 0)] * 12,
        *[Heartbeat(1)] * 3,
        *[Request(Ask.ARM)] * 3,
        Request(Ask.STOP),
        Hello(),
    ]
    if chaos.random() < 0.002:
        choices = [Request(Ask.EMERGENCY_STOP)]
    return chaos.sample(choices, chaos.choice((0, 1, 1, 2))) if len(choices) > 1 else choices


def noise(chaos: random.Random) -> bytes:
    return chaos.randbytes(chaos.randrange(40)) if chaos.random() < 0.1 else b""


def shake(chip: Chip, chaos: random.Random) -> None:
    """Now and then another state of the vehicle, most of them healthy ones."""
    if chaos.random() < 0.3:
        chip.put(position=tuple(chaos.gauss(0.0, 0.2) for _ in range(3)))
    if chaos.random() < 0.3:
        chip.put(linear_velocity=chaos.choice(((0.0,) * 3, (0.0,) * 3, tuple(chaos.gauss(0.0, 1.0) for _ in range(3)))))
    if chaos.random() < 0.2:
        chip.put(angular_velocity=tuple(chaos.gauss(0.0, 0.2) for _ in range(3)))
    if chaos.random() < 0.01:
        chip.put(position=(chaos.choice((math.nan, math.inf, 1e38, 5.0)), 0.0, 0.0))
    if chaos.random() < 0.01:
        chip.put(orientation=upset(chaos.choice((0.0, 30.0, 100.0))))
    elif chaos.random() < 0.1:
        chip.put(orientation=upset(0.0))
