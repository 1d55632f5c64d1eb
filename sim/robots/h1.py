"""Unitree H1 as a biped: ten leg joints; the torso and the arms, hanging at their zero pose, are fixed to the pelvis.

Masses, inertias, geometry, limits, armature and joint friction are those of the manufacturer's published description
as carried by MuJoCo Menagerie (unitree_h1, BSD-3-Clause); gains and stance are unitree_rl_gym's. Left side as
published; the right side is its reflection in the x-z plane. A foot is one box around the published foot's capsules.
"""

from __future__ import annotations

import math

from sim.robots.legs import Legs, Mirror
from sim.robots.mjcf import Inertia, body, box, capsule, document, hinge, numbers, paint, sphere
from sim.robots.robot import Robot, Vector

SIDES = ("left", "right")
JOINTS = ("hip_yaw", "hip_roll", "hip_pitch", "knee", "ankle")
AXES: tuple[Vector, ...] = ((0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0))
LOW, HIGH = (-0.43, -0.43, -1.57, -0.26, -0.87), (0.43, 0.43, 1.57, 2.05, 0.52)
TORQUE, SPEED = (200.0, 200.0, 200.0, 300.0, 40.0), (23.0, 23.0, 23.0, 14.0, 9.0)
STANCE = (0.0, 0.0, -0.1, 0.3, -0.2)
ARMATURE, FRICTION = 0.1, 1.0

PELVIS = Inertia(
    5.39, (-0.0002, 4e-05, -0.04522), (0.0490211, 0.0445821, 0.00824619), (0.498303, 0.499454, -0.500496, 0.501741)
)
TORSO = Inertia(
    17.789,
    (0.000489, 0.002797, 0.20484),
    (0.487315, 0.409628, 0.127837),
    (0.999989, -0.00130808, -0.00282289, -0.00349105),
)
LEG = (
    Inertia(
        2.244, (-0.04923, 0.0001, 0.0072), (0.00304494, 0.00296885, 0.00189201), (0.69699, 0.219193, 0.233287, 0.641667)
    ),
    Inertia(
        2.232,
        (-0.0058, -0.00319, -9e-05),
        (0.00243264, 0.00225325, 0.00205492),
        (0.0438242, 0.70721, -0.0729075, 0.701867),
    ),
    Inertia(
        4.152,
        (0.00746, -0.02346, -0.08193),
        (0.0829503, 0.0821457, 0.00510909),
        (0.979828, 0.0513522, -0.0169854, -0.192382),
    ),
    Inertia(
        1.721,
        (-0.00136, -0.00512, -0.1384),
        (0.0125237, 0.0123104, 0.0019428),
        (0.626132, -0.034227, -0.0416277, 0.777852),
    ),
    Inertia(
        0.446,
        (0.06722, 0.00015, -0.04497),
        (0.00220848, 0.00218961, 0.000214202),
        (0.489101, 0.503197, 0.565782, 0.432972),
    ),
)
OFFSETS: tuple[Vector, ...] = (
    (0.0, 0.0875, -0.1742),
    (0.039468, 0.0, 0.0),
    (0.0, 0.11536, 0.0),
    (0.0, 0.0, -0.4),
    (0.0, 0.0, -0.4),
)
"""Of each leg link in its parent, left side."""
ARM = (
    (
        (0.0055, 0.15535, 0.42999),
        (0.976296, 0.216438, 0.0, 0.0),
        Inertia(
            1.033,
            (0.005045, 0.053657, -0.015715),
            (0.00129936, 0.000987113, 0.000858198),
            (0.814858, 0.579236, -0.0201072, -0.00936488),
        ),
    ),
    (
        (-0.0055, 0.0565, -0.0165),
        (0.976296, -0.216438, 0.0, 0.0),
        Inertia(
            0.793,
            (0.000679, 0.00115, -0.094076),
            (0.00170388, 0.00158256, 0.00100336),
            (0.732491, 0.00917179, 0.0766656, 0.676384),
        ),
    ),
    (
        (0.0, 0.0, -0.1343),
        (1.0, 0.0, 0.0, 0.0),
        Inertia(
            0.839,
            (0.01365, 0.002767, -0.16266),
            (0.00408038, 0.00370367, 0.000622687),
            (0.703042, -0.0331229, -0.0473362, 0.708798),
        ),
    ),
    (
        (0.0185, 0.0, -0.198),
        (1.0, 0.0, 0.0, 0.0),
        Inertia(
            0.669,
            (0.15908, -0.000144, -0.015776),
            (0.00601829, 0.00600579, 0.000408305),
            (0.0765232, 0.720327, 0.0853116, 0.684102),
        ),
    ),
)
"""Shoulder pitch, roll and yaw links and the forearm: place and turn in the parent, inertia; left side."""
SOLE = 0.07

BODY, LIMB, JOINT = (0.16, 0.17, 0.19), (0.78, 0.80, 0.82), (0.28, 0.30, 0.33)
LEG_SHAPES = (
    lambda side, y: capsule(f"{side}_hip", (-0.1, 0.0, 0.0), (-0.04, 0.0, 0.0), 0.06, paint(*JOINT)),
    lambda side, y: sphere(f"{side}_hip_roll", (0.0, y * -0.02, 0.0), 0.05, paint(*JOINT)),
    lambda side, y: capsule(f"{side}_upper", (0.0, 0.0, 0.0), (0.01, 0.0, -0.38), 0.05, paint(*LIMB)),
    lambda side, y: capsule(f"{side}_shank", (0.01, 0.0, -0.02), (0.01, 0.0, -0.37), 0.04, paint(*LIMB)),
    lambda side, y: box(f"{side}_foot", (0.0525, 0.0, 0.012 - SOLE), (0.1025, 0.035, 0.012), paint(*BODY)),
)


def _side(inertia: Inertia, left: bool) -> Inertia:
    return inertia if left else inertia.left_right()


def _leg(side: str) -> str:
    left = side == "left"
    sign = 1.0 if left else -1.0
    inner: list[str] = []
    for i in reversed(range(len(JOINTS))):
        joint = hinge(f"{side}_{JOINTS[i]}_joint", AXES[i], LOW[i], HIGH[i], ARMATURE, FRICTION)
        parts = [_side(LEG[i], left).text(), joint, LEG_SHAPES[i](side, sign), *inner]
        x, y, z = OFFSETS[i]
        inner = [body(f"{side}_{JOINTS[i]}_link", (x, sign * y, z), parts)]
    return inner[0]


def _arm(side: str) -> str:
    """The arm's links without joints; the compiler fuses them with the pelvis."""
    left = side == "left"
    inner = ""
    for place, (w, x, y, z), inertia in reversed(ARM):
        turn = (w, x, y, z) if left else (w, -x, y, -z)
        pos = place if left else (place[0], -place[1], place[2])
        inner = f'<body pos="{numbers(pos)}" quat="{numbers(turn)}">{_side(inertia, left).text()}{inner}</body>'
    return inner


def _mjcf() -> str:
    """The robot alone: no floor, no actuators, no sensors."""
    torso = (
        f"<body>{TORSO.text()}"
        + box("torso", (0.0, 0.0, 0.25), (0.07, 0.1, 0.22), paint(*LIMB))
        + capsule("waist", (0.0, 0.0, -0.06), (0.0, 0.0, 0.06), 0.06, paint(*JOINT, False))
        + capsule("neck", (0.0, 0.0, 0.46), (0.03, 0.0, 0.58), 0.04, paint(*JOINT, False))
        + sphere("head", (0.045, 0.0, 0.65), 0.08, paint(*JOINT))
        + "".join(
            capsule(f"{side}_arm", (0.0, y, 0.41), (0.0, y, 0.09), 0.04, paint(*LIMB))
            + capsule(f"{side}_forearm", (0.02, y, 0.08), (0.28, y, 0.065), 0.03, paint(*JOINT))
            for side, y in (("left", 0.21), ("right", -0.21))
        )
        + "".join(_arm(side) for side in SIDES)
        + "</body>"
    )
    pelvis = body(
        "pelvis",
        (0.0, 0.0, STAND_HEIGHT),
        [
            '<freejoint name="floating_base"/>',
            PELVIS.text(),
            capsule("pelvis", (0.0, -0.06, -0.08), (0.0, 0.06, -0.08), 0.07, paint(*BODY)),
            f'<site name="imu" pos="{numbers((-0.04452, -0.01891, 0.27756))}" size="0.005"/>',
            torso,
            *(_leg(side) for side in SIDES),
        ],
    )
    return document("h1", [pelvis]).replace("<compiler ", '<compiler fusestatic="true" ', 1)


STAND_HEIGHT = 0.1742 + 0.4 * (math.cos(STANCE[2]) + math.cos(STANCE[2] + STANCE[3])) + SOLE

H1 = Robot(
    name="h1",
    mjcf=_mjcf,
    base="pelvis",
    joints=tuple(f"{side}_{joint}_joint" for side in SIDES for joint in JOINTS),
    stiffness=(150.0, 150.0, 150.0, 200.0, 40.0) * 2,
    damping=(2.0, 2.0, 2.0, 4.0, 2.0) * 2,
    torque_limit=TORQUE * 2,
    joint_low=LOW * 2,
    joint_high=HIGH * 2,
    joint_speed=SPEED * 2,
    parts=(
        Legs(
            feet=("left_foot", "right_foot"),
            stance=STANCE * 2,
            stand_height=STAND_HEIGHT,
            lying=(0.0,) * 10,
            action_scale=(0.25,) * 10,
            mirror=Mirror(
                joint_from=(5, 6, 7, 8, 9, 0, 1, 2, 3, 4),
                joint_sign=(-1.0, -1.0, 1.0, 1.0, 1.0) * 2,
                foot_from=(1, 0),
            ),
        ),
    ),
)
