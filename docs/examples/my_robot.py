"""A robot of one's own: a small quadruped of primitives, and a task in which it walks.

robo-rl train my_robot.py:TASK
"""

from __future__ import annotations

from sim.legged.settings import LeggedSettings
from sim.legged.task import flat_task
from sim.robots.legs import Legs, Mirror
from sim.robots.robot import Robot

LINK, RADIUS = 0.15, 0.02  # m
LEGS = {"fr": (0.16, -0.08), "fl": (0.16, 0.08), "rr": (-0.16, -0.08), "rl": (-0.16, 0.08)}  # hips in the base, m
JOINTS = tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("hip", "thigh", "calf"))


def mjcf() -> str:
    """The robot alone, 6.4 kg."""
    return f"""
<mujoco model="little">
  <compiler angle="radian"/>
  <default>
    <geom contype="0" conaffinity="0"/>
    <joint damping="0.05" armature="0.01" limited="true"/>
    <default class="foot"><geom type="sphere" size="{RADIUS}" mass="0.05" contype="1" conaffinity="1"/></default>
  </default>
  <worldbody>
    <body name="trunk" pos="0 0 0.3">
      <freejoint/>
      <site name="imu"/>
      <geom name="trunk" type="box" size="0.18 0.07 0.04" mass="3.8" contype="1" conaffinity="1"/>
      {"".join(_leg(name, x, y) for name, (x, y) in LEGS.items())}
    </body>
  </worldbody>
</mujoco>"""


def _leg(name: str, x: float, y: float) -> str:
    return f"""
      <body name="{name}_hip" pos="{x} {y} 0">
        <joint name="{name}_hip" axis="1 0 0" range="-0.8 0.8"/>
        <geom type="sphere" size="0.03" mass="0.3"/>
        <body name="{name}_thigh">
          <joint name="{name}_thigh" axis="0 1 0" range="-0.6 2.2"/>
          <geom type="capsule" fromto="0 0 0 0 0 {-LINK}" size="0.015" mass="0.2"/>
          <body name="{name}_calf" pos="0 0 {-LINK}">
            <joint name="{name}_calf" axis="0 1 0" range="-2.5 -0.4"/>
            <geom type="capsule" fromto="0 0 0 0 0 {-LINK}" size="0.012" mass="0.1"/>
            <geom name="{name}_foot" class="foot" pos="0 0 {-LINK}"/>
          </body>
        </body>
      </body>"""


ROBOT = Robot(
    name="little",
    mjcf=mjcf,
    base="trunk",
    joints=JOINTS,
    stiffness=(20.0,) * 12,
    damping=(0.5,) * 12,
    torque_limit=(10.0,) * 12,
    joint_low=(-0.8, -0.6, -2.5) * 4,
    joint_high=(0.8, 2.2, -0.4) * 4,
    joint_speed=(20.0,) * 12,
    parts=(
        Legs(
            feet=tuple(f"{leg}_foot" for leg in LEGS),
            stance=(0.0, 0.8, -1.6) * 4,
            stand_height=0.229,
            lying=(0.0, 1.2, -2.4) * 4,
            action_scale=(0.3, 0.6, 0.6) * 4,
            # Right and left legs change places; hips turn the other way in the mirror.
            mirror=Mirror((3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8), (-1.0, 1.0, 1.0) * 4, (1, 0, 3, 2)),
        ),
    ),
)
"""Stand height: two links at 0.8 rad from the vertical, 0.209 m, and the foot's radius."""

TASK = flat_task(ROBOT, LeggedSettings(gait=(0.0, 0.5, 0.5, 0.0), clearance=0.07))
