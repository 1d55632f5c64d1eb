"""The robot's base made to float upright: on a free joint alone, and in a frame that is level when the robot stands."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from sim.robots.own.files import compiled, mjcf_text
from sim.robots.own.joints import HINGE, SLIDE
from sim.robots.own.stance import keyframe
from sim.robots.own.tree import Tree

FREE, JOINT_WRAP = mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtWrap.mjWRAP_JOINT
LEVEL = 0.2
"""Tilt in rad of the base in the file up to which its own frame counts as level."""
APART = 0.02
"""Distance in m of an empty base from the link on it up to which it counts as that link's own frame."""


@dataclass(frozen=True)
class Floating:
    """The changed spec, without keyframes, whose body `base` has a free joint; and what the keyframe said."""

    spec: Any
    base: str
    pose: Mapping[str, float]
    """Positions of hinges and slides in the keyframe by name, empty without one."""
    pose_from: str
    scene: Path | None
    """The scene beside the robot's file that the keyframe is in."""
    warnings: tuple[str, ...]


def float_base(spec: Any, tree: Tree, path: Path, what: str) -> Floating:
    """Give the base of `tree`, compiled from `spec`, a free joint and a level frame, if it has none."""
    model, base = tree.model, tree.name(tree.base)
    found = keyframe(model, path)
    row, origin, scene = found or (np.array(model.qpos0), "", None)
    kinds = model.jnt_type
    pose = {
        str(model.joint(j).name): float(row[model.jnt_qposadr[j]])
        for j in range(model.njnt)
        if found and int(kinds[j]) in (HINGE, SLIDE)
    }
    turn = np.array(model.body_quat[tree.base])
    floats = bool(model.body_jntnum[tree.base]) and kinds[model.body_jntadr[tree.base]] == FREE
    if floats:
        start = int(model.jnt_qposadr[model.body_jntadr[tree.base]])
        turn = np.array(row[start + 3 : start + 7])
    warnings = []
    for key in list(spec.keys):
        spec.delete(key)
    if not floats:
        replaced = _free(spec, base)
        if replaced:
            warnings.append(
                f"the base {base} floats; its own joints, and what ties them, are left out: {', '.join(replaced)}"
            )
        else:
            warnings.append(f"the file fixes {base} to the world; here it floats on a free joint")
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, turn / max(float(np.linalg.norm(turn)), 1e-9))
    steep, link = bool(matrix[8] < math.cos(LEVEL)), _carried(tree)
    if steep or link:
        place = np.array(model.body_pos[link]) if link else np.zeros(3)
        own, at = base, tree.name(link) if link else "the same place"
        spec, base = _levelled(spec, base, turn if steep else np.array((1.0, 0.0, 0.0, 0.0)), place, what)
        warnings.append(f"its base {own} is {'turned' if steep else 'empty'}; {base} is a level frame at {at}")
    return Floating(spec, base, pose, origin, scene, tuple(warnings))


def _free(spec: Any, base: str) -> list[str]:
    """Replace the base's joints, and what acts on them, by a free joint; the names of the joints, and of the tendons
    and equalities that were there."""
    body, kinds = spec.body(base), mujoco.mjtTrn
    joints = {joint.name for joint in body.joints}
    tendons = [t for t in spec.tendons if any(w.type == JOINT_WRAP and w.target.name in joints for w in t.path)]
    pulling = {tendon.name for tendon in tendons}
    acting = {kinds.mjTRN_JOINT: joints, kinds.mjTRN_JOINTINPARENT: joints, kinds.mjTRN_TENDON: pulling}
    tying = {mujoco.mjtEq.mjEQ_JOINT: joints, mujoco.mjtEq.mjEQ_TENDON: pulling}
    equalities = [e for e in spec.equalities if {e.name1, e.name2} & tying.get(e.type, set())]
    names = [element.name for element in (*body.joints, *tendons, *equalities)]
    actuators = [a for a in spec.actuators if a.target in acting.get(a.trntype, ())]
    for element in (*spec.sensors, *actuators, *equalities, *tendons, *body.joints):
        spec.delete(element)
    body.add_freejoint()
    return names


def _carried(tree: Tree) -> int:
    """The link that an empty base, such as a frame on the ground, carries at another place; 0 for other bases."""
    model, base = tree.model, tree.base
    below = [b for b in tree.robot if model.body_parentid[b] == base and b != base]
    if model.body_mass[base] or model.body_geomnum[base] or len(below) != 1 or model.body_jntnum[below[0]]:
        return 0
    return below[0] if float(np.linalg.norm(model.body_pos[below[0]])) > APART else 0


def _levelled(spec: Any, base: str, turn: Any, origin: Any, what: str) -> tuple[Any, str]:
    """The base as a part of a massless body whose origin is at `origin` in it [3], m, and whose axes are the world's
    where the file puts the base."""
    compiled(spec, what)
    document = ElementTree.fromstring(mjcf_text(spec))
    name = f"{base}_level"
    taken = {body.get("name") for body in document.iter("body")}
    while name in taken:
        name += "_"
    parents = {child: parent for parent in document.iter() for child in parent}
    body = next(element for element in document.iter("body") if element.get("name") == base)
    parent = parents[body]
    place = list(parent).index(body)
    parent.remove(body)
    outer = ElementTree.Element("body", {"name": name, "pos": body.get("pos", "0 0 0")})
    for joint in [j for j in body if j.tag == "freejoint" or (j.tag == "joint" and j.get("type") == "free")]:
        body.remove(joint)
    ElementTree.SubElement(outer, "freejoint", {"align": "false"})
    for name_of_turn in ("euler", "axisangle", "xyaxes", "zaxis"):
        body.attrib.pop(name_of_turn, None)
    turned = np.zeros(3)
    mujoco.mju_rotVecQuat(turned, origin, turn / np.linalg.norm(turn))
    body.set("pos", " ".join(repr(-float(value)) for value in turned))
    body.set("quat", " ".join(repr(float(value)) for value in turn))
    outer.append(body)
    parent.insert(place, outer)
    return mujoco.MjSpec.from_string(ElementTree.tostring(document, encoding="unicode")), name
