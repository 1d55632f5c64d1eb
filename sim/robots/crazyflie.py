"""Crazyflie quadrotors: rigid bodies with four rotors.

Sources: `crazyflie` is the model of the public code of arXiv 2311.13081; `crazyflie-2025` is a newer identified
Crazyflie with a thrust polynomial and different time constants for spinning up and down. `crazyflie-firmware` is
`crazyflie` with what crazyflie-firmware 2025.12 says of the vehicle in src/platform/interface/platform_defaults_cf2.h:
mass (CF_MASS), largest force of a motor (THRUST_MAX) and yaw torque (THRUST2TORQUE). A policy on the vehicle gets this
thrust.
"""

from __future__ import annotations

from functools import partial

from sim.robots.mjcf import Inertia, body, box, cylinder, document, paint
from sim.robots.robot import Robot
from sim.robots.rotors import RPM, RotorParameters

_MAX_SPEED = 21702.0 * RPM

PARAMETERS: dict[str, RotorParameters] = {
    p.name: p
    for p in (
        RotorParameters(
            name="crazyflie",
            mass=0.027,
            inertia=(3.85e-6, 3.85e-6, 5.9675e-6),
            thrust=(0.0, 0.0, 3.16e-10 * 21702.0**2),
            torque_per_thrust=0.005964552,
            rise_time=0.15,
            fall_time=0.15,
            max_speed=_MAX_SPEED,
        ),
        RotorParameters(
            name="crazyflie-2025",
            mass=0.0306,
            inertia=(9.42e-6, 9.64e-6, 1.746e-5),
            thrust=(0.00352526, 0.01437313, 0.09223048),
            torque_per_thrust=4.665e-3,
            rise_time=0.0555,
            fall_time=0.249,
            max_speed=_MAX_SPEED,
        ),
        RotorParameters(
            name="crazyflie-firmware",
            mass=0.029,
            inertia=(3.85e-6, 3.85e-6, 5.9675e-6),
            thrust=(0.0, 0.0, 0.1125),
            torque_per_thrust=0.005964552,
            rise_time=0.15,
            fall_time=0.15,
            max_speed=_MAX_SPEED,
        ),
    )
}


def _mjcf(p: RotorParameters) -> str:
    """The vehicle as one free body in its real size."""
    rotors = [
        cylinder(f"rotor_{i + 1}", (x, y, 0.012), (x, y, 0.014), 0.023, paint(0.3, 0.3, 0.3))
        for i, (x, y) in enumerate(zip(p.rotor_x, p.rotor_y, strict=True))
    ]
    inertial = Inertia(p.mass, (0.0, 0.0, 0.0), p.inertia).text()
    frame = box("frame", (0.0, 0.0, 0.0), (0.015, 0.015, 0.01), paint(0.16, 0.17, 0.19))
    parts = ['<freejoint name="floating_base"/>', inertial, frame, *rotors]
    return document(p.name, [body(p.name, (0.0, 0.0, 0.1), parts)])


CRAZYFLIES = tuple(Robot(p.name, partial(_mjcf, p), p.name, parts=(p,)) for p in PARAMETERS.values())
