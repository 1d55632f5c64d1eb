"""The MJCF text of a robot: it and its props alone, with exactly the masses and inertias of the compiled file.

Without its scene, groups and options MuJoCo would compute other masses, so it computes none: every link has an
explicit inertia.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np

from sim.robots.own.files import compiled, mjcf_text
from sim.robots.own.joints import Joints
from sim.robots.own.tree import Tree
from sim.robots.robot import Vector

FREE = mujoco.mjtJoint.mjJNT_FREE
OURS = ("floor",)
"""Names of geoms that every world has."""


def robot_text(
    spec: Any, tree: Tree, joints: Joints, touching: set[str], names: Mapping[str, str], imu: Vector | None, what: str
) -> str:
    """The text; `spec`, which is changed, holds what `tree` was compiled from.

    `names` are new names of geoms, `imu` is the place of the site "imu" on the base, m.
    """
    base = tree.name(tree.base)
    for group in (spec.keys, spec.actuators, spec.sensors, spec.lights, spec.cameras, spec.tuples, spec.pairs,
                  spec.excludes):  # fmt: skip
        for element in list(group):
            spec.delete(element)
    _keep(spec, spec.equalities, joints.equalities)
    _keep(spec, spec.tendons, joints.tendons)
    for body in tree.scenery:
        spec.delete(spec.body(tree.name(body)))
    for geom in list(spec.worldbody.geoms):
        spec.delete(geom)
    _free_base(spec, base, {*joints.welded})
    _sites(spec, tree)
    heights = {geom.hfieldname for geom in spec.geoms}
    for field in [field for field in spec.hfields if field.name not in heights]:
        spec.delete(field)
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = 0, 1 if geom.name in touching else 0
        geom.adhesion, geom.surfacevel = 0.0, [0.0] * 6
        geom.name = names.get(geom.name, geom.name)
    for body in spec.bodies[1:]:
        body.gravcomp = 0.0
    if imu is not None:
        spec.body(base).add_site(name="imu", pos=imu)
    compiled(spec, what)
    text = _exact(mjcf_text(spec), tree)
    compiled(mujoco.MjSpec.from_string(text), what)
    return text


def dropped(spec: Any, tree: Tree) -> list[str]:
    """Warnings about physics of the file that a world does not have."""
    lines = []
    scenery = [tree.name(body) for body in tree.scenery]
    if scenery:
        lines.append(f"scenery, left out: {', '.join(scenery)}")
    if tree.props:
        names = ", ".join(tree.name(body) for body in tree.props)
        lines.append(f"kept beside the robot as props: {names}")
    kept = {tree.name(body) for body in tree.kept}
    floating = [body.name for body in spec.bodies[1:] if body.gravcomp and body.name in kept]
    if floating:
        lines.append(f"gravity compensation is not kept: {', '.join(floating)}")
    moving = [g.name for g in spec.geoms if g.parent.name in kept and (g.adhesion or any(g.surfacevel))]
    if moving:
        lines.append(f"adhesion and moving surfaces are not kept: {', '.join(moving)}")
    return [*lines, *_options(spec)]


def _options(spec: Any) -> list[str]:
    """Lines on the file's options that the world's own replace, those first that change what the world means."""
    default, own = mujoco.MjSpec().option, spec.option
    physics, numerics = [], []
    for name in ("gravity", "wind", "magnetic", "density", "viscosity", "disableflags", "enableflags",
                 "disableactuator"):  # fmt: skip
        if _shown(getattr(own, name)) != _shown(getattr(default, name)):
            physics.append(f"{name} {_meaning(name, getattr(own, name))}")
    for name in ("timestep", "integrator", "cone", "impratio", "solver", "iterations", "ls_iterations", "tolerance",
                 "noslip_iterations", "ccd_iterations", "jacobian", "o_margin", "o_solref", "o_solimp",
                 "o_friction"):  # fmt: skip
        if _shown(getattr(own, name)) != _shown(getattr(default, name)):
            numerics.append(f"{name} {_meaning(name, getattr(own, name))}")
    lines = []
    if physics:
        lines.append(f"the file's physics is not kept, the world has its own: {'; '.join(physics)}")
    if numerics:
        lines.append(f"the world's own solver replaces the file's options: {', '.join(numerics)}")
    return lines


def _shown(value: Any) -> str:
    return " ".join(f"{float(one):g}" for one in np.atleast_1d(np.asarray(value, dtype=float)))


_KINDS = {
    "cone": (mujoco.mjtCone, "mjCONE_"),
    "integrator": (mujoco.mjtIntegrator, "mjINT_"),
    "solver": (mujoco.mjtSolver, "mjSOL_"),
    "jacobian": (mujoco.mjtJacobian, "mjJAC_"),
}
_FLAGS = {"disableflags": (mujoco.mjtDisableBit, "mjDSBL_"), "enableflags": (mujoco.mjtEnableBit, "mjENBL_")}


def _meaning(name: str, value: Any) -> str:
    """A number, the name of a kind, or the names of the flags that are set, as MJCF has them."""
    if name in _KINDS:
        kind, prefix = _KINDS[name]
        return str(kind(int(value)).name).removeprefix(prefix).lower()
    if name not in _FLAGS:
        return _shown(value)
    kind, prefix = _FLAGS[name]
    bits = {bit.removeprefix(prefix).lower(): int(getattr(kind, bit)) for bit in dir(kind) if bit.startswith(prefix)}
    return " ".join(bit for bit, mask in bits.items() if int(value) & mask)


def _keep(spec: Any, elements: Sequence[Any], names: frozenset[str]) -> None:
    for element in list(elements):
        if element.name not in names:
            spec.delete(element)


def _free_base(spec: Any, base: str, welded: set[str]) -> None:
    """The base floats on one joint, welded joints go."""
    has_base = False
    for joint in list(spec.joints):
        if joint.type == FREE and joint.parent.name == base:
            has_base = True
        elif joint.parent.name == base or joint.name in welded:
            spec.delete(joint)
    if not has_base:
        spec.body(base).add_freejoint()


def _sites(spec: Any, tree: Tree) -> None:
    """Keep the sites that constraints and tendons need; the world has its own."""
    model, kinds = tree.model, mujoco.mjtWrap
    needed = {
        int(of) for kind, of in zip(model.wrap_type, model.wrap_objid, strict=True) if kind == kinds.mjWRAP_SITE
    }  # fmt: skip
    for e in range(model.neq):
        if model.eq_objtype[e] == mujoco.mjtObj.mjOBJ_SITE:
            needed |= {int(model.eq_obj1id[e]), int(model.eq_obj2id[e])}
    names = {str(model.site(site).name) for site in needed}
    # Side sites of wrapping tendons are named by their tendons alone.
    around = (int(kinds.mjWRAP_SPHERE), int(kinds.mjWRAP_CYLINDER))
    wraps = bool(len(spec.tendons)) and any(int(kind) in around for kind in model.wrap_type)
    for site in list(spec.sites):
        if site.name == "imu" or (site.name not in names and not wraps):
            spec.delete(site)


def _exact(text: str, tree: Tree) -> str:
    """The text with the base first among bodies, and with the compiled inertias, every digit."""
    model = tree.model
    document = ElementTree.fromstring(text)
    compiler = document.find("compiler")
    if compiler is None:
        compiler = ElementTree.Element("compiler")
        document.insert(0, compiler)
    compiler.set("inertiafromgeom", "false")
    for name in ("inertiagrouprange", "settotalmass", "boundmass", "boundinertia", "balanceinertia"):
        compiler.attrib.pop(name, None)
    for body in document.iter("body"):
        for inertial in body.findall("inertial"):
            body.remove(inertial)
        number = int(model.body(body.get("name")).id)
        if model.body_mass[number] > 0.0:
            body.insert(0, ElementTree.Element("inertial", {
                "pos": _numbers(model.body_ipos[number]), "quat": _numbers(model.body_iquat[number]),
                "mass": repr(float(model.body_mass[number])), "diaginertia": _numbers(model.body_inertia[number]),
            }))  # fmt: skip
    world = document.find("worldbody")
    assert world is not None
    base = tree.name(tree.base)
    for child in list(world):
        if any(body.get("name") == base for body in child.iter("body")):
            world.remove(child)
            world.insert(0, child)
    return ElementTree.tostring(document, encoding="unicode")


def _numbers(values: Any) -> str:
    return " ".join(repr(float(value)) for value in values)
