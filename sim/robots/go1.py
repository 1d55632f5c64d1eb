"""Unitree Go1: a quadruped with twelve joints, built from primitives.

Masses, inertias, geometry, limits and rotor data are those of the manufacturer's published description (go1_description
of unitree_ros, BSD-3-Clause). Right front leg as published; the left legs are its reflection in the x-z plane and the
hips of the rear legs its reflection in the y-z plane. Feet, shanks and trunk touch the ground; hips and thighs do not,
because steps on rough ground then take a fifth less time.
"""

from __future__ import annotations

import math

from sim.robots.legs import Legs, Mirror
from sim.robots.mjcf import Inertia, body, box, capsule, cylinder, document, hinge, numbers, paint, sphere
from sim.robots.robot import Robot

LEGS = ("FR", "FL", "RR", "RL")
PARTS = ("hip", "thigh", "calf")

TRUNK = Inertia(
    5.204,
    (0.0223, 0.002, -0.0005),
    (0.0716565, 0.0630105, 0.0168101),
    (-0.00342088, 0.705204, 0.000106698, 0.708996),
)
HIP = Inertia(
    0.68,
    (-0.0049166, 0.00762615, -8.865e-05),
    (0.000734064, 0.000468438, 0.000398719),
    (0.507341, 0.514169, 0.495027, 0.482891),
)
THIGH = Inertia(
    1.009,
    (-0.00304722, 0.019315, -0.0305004),
    (0.00478717, 0.00460903, 0.000709268),
    (0.65243, -0.0272313, 0.0775126, 0.753383),
)
CALF = Inertia(
    0.195862,
    (0.00429862, 0.000976676, -0.146197),
    (0.00149767, 0.00148468, 3.58427e-05),
    (0.691246, 0.00357467, 0.00511118, 0.722592),
)
HIP_FORWARD, HIP_SIDE, HIP_WIDTH, LINK, FOOT_RADIUS = 0.1881, 0.04675, 0.08, 0.213, 0.023
ROTOR = 0.000111842
GEARS = (6.0, 6.0, 9.0)
LOW, HIGH = (-0.863, -0.686, -2.818), (0.863, 4.501, -0.888)
TORQUE, SPEED = (23.7, 23.7, 35.55), (30.0, 30.0, 20.0)
SPREAD, FRONT_THIGH, REAR_THIGH, CALF_ANGLE = 0.1, 0.9, 1.0, -1.7
"""The stance commanded in rad. Under the robot's weight the calves deviate from it by about 0.13 rad, so that it stands
level with its thighs near 0.9 and 1.0, its calves near -1.85 and its base at 0.26 m."""
FRICTION = 0.1
"""Viscous friction of a joint in Nm s/rad: an estimate, not published."""

BODY, LIMB, JOINT, RUBBER = (0.16, 0.17, 0.19), (0.78, 0.80, 0.82), (0.28, 0.30, 0.33), (0.05, 0.05, 0.05)


def _leg(leg: str) -> str:
    """One leg as nested bodies; `front` and `left` are the signs of x and y."""
    front, left = (1.0 if leg[0] == "F" else -1.0), (1.0 if leg[1] == "L" else -1.0)
    inertias = [HIP if front > 0 else HIP.front_back(), THIGH, CALF]
    if left > 0:
        inertias[:2] = [inertia.left_right() for inertia in inertias[:2]]
    joints = [
        hinge(
            f"{leg}_{part}_joint",
            (1.0, 0.0, 0.0) if part == "hip" else (0.0, 1.0, 0.0),
            low,
            high,
            ROTOR * gear**2,
            FRICTION,
        )
        for part, low, high, gear in zip(PARTS, LOW, HIGH, GEARS, strict=True)
    ]
    calf = body(
        f"{leg}_calf",
        (0.0, 0.0, -LINK),
        [
            inertias[2].text(),
            joints[2],
            capsule(f"{leg}_shank", (0.0, 0.0, -0.01), (0.0, 0.0, -LINK + 0.02), 0.013, paint(*LIMB)),
            sphere(f"{leg}_foot", (0.0, 0.0, -LINK), FOOT_RADIUS, paint(*RUBBER)),
        ],
    )
    thigh = body(
        f"{leg}_thigh",
        (0.0, left * HIP_WIDTH, 0.0),
        [
            inertias[1].text(),
            joints[1],
            capsule(f"{leg}_upper", (0.0, 0.0, 0.0), (0.0, 0.0, -LINK), 0.022, paint(*LIMB, False)),
            cylinder(f"{leg}_motor", (0.0, -left * 0.045, 0.0), (0.0, left * 0.02, 0.0), 0.046, paint(*JOINT, False)),
            calf,
        ],
    )
    parts = [
        inertias[0].text(),
        joints[0],
        sphere(f"{leg}_shoulder", (0.0, left * 0.03, 0.0), 0.046, paint(*JOINT, False)),
        thigh,
    ]
    return body(f"{leg}_hip", (front * HIP_FORWARD, left * HIP_SIDE, 0.0), parts)


def _mjcf() -> str:
    """The robot alone: no floor, no actuators, no sensors."""
    return document(
        "go1",
        [
            body(
                "trunk",
                (0.0, 0.0, STAND_HEIGHT),
                [
                    '<freejoint name="floating_base"/>',
                    TRUNK.text(),
                    box("trunk", (0.0, 0.0, 0.0), (0.188, 0.04675, 0.057), paint(*BODY)),
                    box("head", (0.235, 0.0, 0.0), (0.045, 0.04, 0.04), paint(*JOINT, False)),
                    box("lid", (0.0, 0.0, 0.058), (0.13, 0.03, 0.006), paint(*LIMB, False)),
                    f'<site name="imu" pos="{numbers((-0.01592, -0.06659, -0.00617))}" size="0.005"/>',
                    *(_leg(leg) for leg in LEGS),
                ],
            )
        ],
    )


def _pose(hip: float, front: float, rear: float, calf: float) -> tuple[float, ...]:
    """Abduction away from the body, thighs by front and rear, and calves as one value per joint."""
    return tuple(
        value for leg in LEGS for value in (hip if leg[1] == "L" else -hip, front if leg[0] == "F" else rear, calf)
    )


STAND_HEIGHT = (
    LINK * (math.cos(FRONT_THIGH) + math.cos(FRONT_THIGH + CALF_ANGLE)) * math.cos(SPREAD)
    - HIP_WIDTH * math.sin(SPREAD)
    + FOOT_RADIUS
)
"""Of the base when the front feet of the stance just touch the ground, in m; the rear ones are 3 mm above it."""

GO1 = Robot(
    name="go1",
    mjcf=_mjcf,
    base="trunk",
    joints=tuple(f"{leg}_{part}_joint" for leg in LEGS for part in PARTS),
    stiffness=(35.0,) * 12,
    damping=(0.5,) * 12,
    torque_limit=TORQUE * 4,
    joint_low=LOW * 4,
    joint_high=HIGH * 4,
    joint_speed=SPEED * 4,
    parts=(
        Legs(
            feet=tuple(f"{leg}_foot" for leg in LEGS),
            stance=_pose(SPREAD, FRONT_THIGH, REAR_THIGH, CALF_ANGLE),
            stand_height=STAND_HEIGHT,
            lying=_pose(0.0, 1.3, 1.3, -2.7),
            action_scale=(0.4, 0.7, 0.7) * 4,
            mirror=Mirror(
                joint_from=(3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8),
                joint_sign=(-1.0, 1.0, 1.0) * 4,
                foot_from=(1, 0, 3, 2),
            ),
        ),
    ),
)
