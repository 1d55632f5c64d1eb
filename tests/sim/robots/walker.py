"""A four-legged robot as text, in parts that tests replace, for what files of real robots differ in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

LEGS = ("FL", "FR", "RL", "RR")
JOINTS = tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("hip", "thigh", "calf"))
FLOOR = '<geom name="floor" type="plane" size="5 5 0.1"/>'
TRUNK = '<geom name="trunk" type="box" size="0.22 0.08 0.05" mass="6"/>'
STANCE = {"hip": 0.0, "thigh": 0.8, "calf": -1.5}
HOME = f'<key name="home" qpos="0 0 0.32 1 0 0 0 {"0 0.8 -1.5 " * 4}"/>'
SERVO = '<position name="{0}_servo" joint="{0}" kp="40" kv="1" forcerange="-30 30"/>'


def leg(name: str, x: float, joint: str = "", foot: str = "", thigh: str = "") -> str:
    """A leg whose hip is at `x` and at the side that its name says; `joint` are attributes of its joints."""
    side = 1 if name[1] == "L" else -1
    toe = foot or f'<geom name="{name}_toe" type="sphere" pos="0 0 -0.2" size="0.02" mass="0.05"/>'
    return f"""
<body name="{name}_hip_link" pos="{x} {0.1 * side} 0">
  <joint name="{name}_hip" axis="1 0 0" range="-0.8 0.8" {joint}/><geom type="sphere" size="0.03" mass="0.4"/>
  <body name="{name}_thigh_link" pos="0 {0.05 * side} 0">
    <joint name="{name}_thigh" axis="0 1 0" range="-1 2.5" {joint}/>
    <geom type="capsule" fromto="0 0 0 0 0 -0.2" size="0.015" mass="0.5"/>{thigh}
    <body name="{name}_calf_link" pos="0 0 -0.2">
      <joint name="{name}_calf" axis="0 1 0" range="-2.6 -0.3" {joint}/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.19" size="0.01" mass="0.15"/>{toe}
    </body>
  </body>
</body>"""


def legs(joint: str = "", thigh: str = "", names: Sequence[str] = LEGS) -> str:
    places = {"F": 0.2, "M": 0.0, "R": -0.2}
    return "".join(leg(name, places[name[0]], joint, thigh=thigh.format(name)) for name in names)


def servos(form: str = SERVO, joints: Sequence[str] = JOINTS) -> str:
    return f"<actuator>{''.join(form.format(joint) for joint in joints)}</actuator>"


def walker(
    *,
    compiler: str = "",
    world: str = FLOOR,
    base: str = 'name="trunk" pos="0 0 0.4"',
    free: str = "<freejoint/>",
    trunk: str = TRUNK,
    limbs: str = "",
    actuator: str = "",
    keys: str = HOME,
    more: str = "",
) -> str:
    return f"""<mujoco model="walker"><compiler angle="radian" {compiler}/>
<worldbody>{world}<body {base}>{free}{trunk}{limbs or legs()}</body></worldbody>
{actuator or servos()}<keyframe>{keys}</keyframe>{more}</mujoco>"""


def written(folder: Path, text: str, spec: dict[str, object] | None = None, name: str = "dog") -> str:
    """The path of the robot's file in `folder` or, with a `spec`, of the spec beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.xml").write_text(text, encoding="utf-8")
    if spec is None:
        return str(folder / f"{name}.xml")
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"mjcf": f"{name}.xml", **spec}), encoding="utf-8")
    return str(folder / f"{name}.yaml")
