"""A quadrotor from primitives, for pictures only: about a Crazyflie's size and colours.

92 mm from motor to motor across and propellers of 46 mm are Bitcraze's figures for the Crazyflie 2.x.
"""

from __future__ import annotations

import math

import mujoco

ARM = 0.046
PROPELLER = 0.023
ROTORS = ((1, -1), (-1, -1), (-1, 1), (1, 1))


def quadrotor_model() -> mujoco.MjModel:
    """A floating quadrotor "body", a mocap body "target" and the ground, with sky and sun; its mass has no meaning."""
    reach = ARM / math.sqrt(2.0)
    arms, rotors = [], []
    for number, (x, y) in enumerate(ROTORS):
        at = f"{x * reach:.4f} {y * reach:.4f}"
        colour = "0.9 0.25 0.15" if x > 0 else "0.15 0.16 0.18"
        arms.append(f'<geom type="capsule" fromto="0 0 0 {at} 0" size="0.0022" rgba="0.12 0.13 0.15 1"/>')
        arms.append(f'<geom type="cylinder" pos="{at} 0.003" size="0.0045 0.007" rgba="0.7 0.72 0.75 1"/>')
        rotors.append(
            f'<geom name="rotor_{number + 1}" type="cylinder" pos="{at} 0.0125" size="{PROPELLER} 0.0006"'
            f' rgba="{colour} 0.45"/>'
        )
    return mujoco.MjModel.from_xml_string(
        f"""
        <mujoco model="quadrotor">
          <statistic extent="2" center="0 0 1"/>
          <visual>
            <headlight diffuse="0.45 0.45 0.45" ambient="0.4 0.4 0.4" specular="0 0 0"/>
          </visual>
          <asset>
            <texture type="skybox" builtin="gradient" rgb1="0.55 0.68 0.82" rgb2="0.93 0.95 0.97" width="128"
                     height="768"/>
            <texture name="ground" type="2d" builtin="checker" mark="edge" rgb1="0.42 0.46 0.48" rgb2="0.48 0.52 0.54"
                     markrgb="0.6 0.63 0.65" width="256" height="256"/>
            <material name="ground" texture="ground" texrepeat="2 2" texuniform="true"/>
          </asset>
          <worldbody>
            <light name="sun" directional="true" pos="0 0 4" dir="0.3 0.25 -1" diffuse="0.6 0.6 0.6" castshadow="true"/>
            <geom name="floor" type="plane" size="0 0 0.5" material="ground"/>
            <body name="body" pos="0 0 1">
              <freejoint/>
              <geom type="box" size="0.015 0.012 0.005" rgba="0.12 0.13 0.15 1"/>
              <geom type="box" pos="0 0 0.009" size="0.012 0.009 0.004" rgba="0.75 0.78 0.8 1"/>
              {"".join(arms)}{"".join(rotors)}
            </body>
            <body name="target" mocap="true" pos="0 0 1">
              <geom type="sphere" size="0.012" rgba="0.1 0.7 0.3 0.45" contype="0" conaffinity="0"/>
            </body>
          </worldbody>
        </mujoco>
        """
    )
