"""The description of a compiled MjModel for Bullet: trees of links, each with its frame, joint, inertia and shapes.

A link is a body as Bullet has it: one joint, its frame at the joint's anchor. A body with several joints becomes a
chain of links, all but the last without mass; a shape with its own friction or with a contact sensor gets a massless
link of its own, welded to its body's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError

Array = NDArray[np.float64]
FREE, BALL, SLIDE, HINGE = (
    int(t) for t in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL, mujoco.mjtJoint.mjJNT_SLIDE,
                     mujoco.mjtJoint.mjJNT_HINGE)
)  # fmt: skip
IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Link:
    """One link; positions in m, quaternions w, x, y, z, inertia in kg m^2 about the principal axes.

    `position` and `orientation` place the link's frame in its parent's at joint position 0 (of a tree's base: in the
    world); mass properties and shapes are given in the link's frame. `joint` is the MjModel's joint or -1.
    """

    body: int
    parent: int
    joint: int
    position: Array
    orientation: Array
    axis: Array
    mass: float = 0.0
    inertia: Array = field(default_factory=lambda: np.zeros(3))
    inertial_position: Array = field(default_factory=lambda: np.zeros(3))
    inertial_orientation: Array = field(default_factory=lambda: IDENTITY.copy())
    geoms: tuple[int, ...] = ()
    offset: Array = field(default_factory=lambda: np.zeros(3))
    """Origin of the body's frame in the link's frame; both have the same axes."""


@dataclass(frozen=True)
class Tree:
    """A base, link 0 of `links`, and its descendants: parents are indices in `links`, the base's is -1.

    `free` is the address of the base's free joint, or -1 where the base is welded to the world.
    """

    links: tuple[Link, ...]
    free: int


def describe(model: mujoco.MjModel) -> tuple[Tree, ...]:
    """The trees of everything in `model` that moves; a UserError names what Bullet does not support."""
    _check(model)
    roots = [
        b for b in range(1, model.nbody) if model.body_parentid[b] == 0 and model.body_dofnum[_subtree(model, b)].any()
    ]
    return tuple(_tree(model, root) for root in roots)


def static_geoms(model: mujoco.MjModel) -> list[int]:
    """The geoms welded to the world that something may touch."""
    return [g for g in range(model.ngeom) if model.body_weldid[model.geom_bodyid[g]] == 0 and collides(model, g)]


def collides(model: mujoco.MjModel, geom: int) -> bool:
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def may_touch(model: mujoco.MjModel, a: int, b: int) -> bool:
    """MuJoCo's rule for geoms of different bodies, the filter for parents and children aside."""
    return bool(model.geom_contype[a] & model.geom_conaffinity[b] or model.geom_contype[b] & model.geom_conaffinity[a])


def watched_geoms(model: mujoco.MjModel) -> dict[int, tuple[int, ...]]:
    """Contact sensors, by index, of a geom or of a body with all that is on it: sensor -> geoms."""
    contact, geom = int(mujoco.mjtSensor.mjSENS_CONTACT), int(mujoco.mjtObj.mjOBJ_GEOM)
    found = {}
    for s in range(model.nsensor):
        if model.sensor_type[s] == contact:
            of = int(model.sensor_objid[s])
            found[s] = (of,) if model.sensor_objtype[s] == geom else _geoms_on(model, of)
    return found


def _geoms_on(model: mujoco.MjModel, body: int) -> tuple[int, ...]:
    """The geoms of a body and of the bodies on it that touch something."""
    bodies = {body}
    for child in range(body + 1, model.nbody):
        if int(model.body_parentid[child]) in bodies:
            bodies.add(child)
    return tuple(g for g in range(model.ngeom) if int(model.geom_bodyid[g]) in bodies and collides(model, g))


def _check(model: mujoco.MjModel) -> None:
    def refuse(what: str, name: str) -> None:
        raise UserError(f"the pybullet backend has no {what}, which the model uses ({name}); use the mujoco backend")

    for j in range(model.njnt):
        if model.jnt_type[j] == BALL:
            refuse("ball joints", model.joint(j).name)
        if model.jnt_type[j] == FREE and model.body_parentid[model.jnt_bodyid[j]] != 0:
            refuse("free joints below other bodies", model.joint(j).name)
    for count, what in (
        (model.neq, "equality constraints"),
        (model.ntendon, "tendons"),
        (model.nmocap, "mocap bodies"),
    ):
        if count:
            refuse(what, str(count))
    for a in range(model.nu):
        if model.actuator_trntype[a] != int(mujoco.mjtTrn.mjTRN_JOINT) or model.actuator_dyntype[a] != 0:
            refuse("actuators but those of joints without dynamics", model.actuator(a).name)
        gain, bias = int(model.actuator_gaintype[a]), int(model.actuator_biastype[a])
        if gain != int(mujoco.mjtGain.mjGAIN_FIXED) or bias not in (0, int(mujoco.mjtBias.mjBIAS_AFFINE)):
            refuse("actuators but those with a fixed gain and an affine bias", model.actuator(a).name)


def _subtree(model: mujoco.MjModel, root: int) -> list[int]:
    """The bodies at and below `root`, parents first."""
    return [b for b in range(root, model.nbody) if model.body_rootid[b] == root]


def _tree(model: mujoco.MjModel, root: int) -> Tree:
    free = bool(model.body_jntnum[root]) and model.jnt_type[model.body_jntadr[root]] == FREE
    links: list[Link] = []
    last: dict[int, int] = {}
    if free:
        links.append(_massive(model, root, Link(root, -1, -1, np.zeros(3), IDENTITY, np.zeros(3))))
        last[root] = 0
    else:
        links.append(Link(0, -1, -1, np.zeros(3), IDENTITY, np.zeros(3)))
        last[0] = 0
    for body in _subtree(model, root):
        if not (free and body == root):
            _chain(model, body, links, last)
    _split_shapes(model, links)
    return Tree(_depth_first(links), int(model.jnt_qposadr[model.body_jntadr[root]]) if free else -1)


def _chain(model: mujoco.MjModel, body: int, links: list[Link], last: dict[int, int]) -> None:
    """Append the links of `body`: one per joint, or one welded link."""
    parent = last[int(model.body_parentid[body])]
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    anchor = np.zeros(3)
    for k, joint in enumerate(range(first, first + count) if count else [-1]):
        here = model.jnt_pos[joint].copy() if joint >= 0 else np.zeros(3)
        axis = model.jnt_axis[joint].copy() if joint >= 0 else np.zeros(3)
        if k == 0:
            position = links[parent].offset + model.body_pos[body] + rotate(model.body_quat[body], here)
            orientation = model.body_quat[body].copy()
        else:
            position, orientation = here - anchor, IDENTITY
        links.append(Link(body, parent, joint, position, orientation, axis, offset=-here))
        parent, anchor = len(links) - 1, here
    links[parent] = _massive(model, body, links[parent])
    last[body] = parent


def _massive(model: mujoco.MjModel, body: int, link: Link) -> Link:
    """`link` with the mass and the shapes of `body`."""
    first = int(model.body_geomadr[body])
    # A geom welded to the world is a static geom.
    moves = model.body_weldid[body] != 0
    return replace(
        link,
        mass=float(model.body_mass[body]),
        inertia=model.body_inertia[body].copy(),
        inertial_position=link.offset + model.body_ipos[body],
        inertial_orientation=model.body_iquat[body].copy(),
        geoms=tuple(g for g in range(first, first + int(model.body_geomnum[body])) if moves and collides(model, g)),
    )


def _split_shapes(model: mujoco.MjModel, links: list[Link]) -> None:
    """Give shapes whose friction, filter or contact sensor differs a link of their own."""
    watched = {geom for geoms in watched_geoms(model).values() for geom in geoms}

    def key(geom: int) -> tuple[object, ...]:
        # A geom with a contact sensor is a group of its own, whatever it shares with others.
        own = geom if geom in watched else -1
        kind = (int(model.geom_contype[geom]), int(model.geom_conaffinity[geom]), int(model.geom_condim[geom]))
        return (own, *kind, *map(float, model.geom_friction[geom]))

    for index, link in enumerate(list(links)):
        groups: dict[tuple[object, ...], list[int]] = {}
        for geom in link.geoms:
            groups.setdefault(key(geom), []).append(geom)
        for k, group in enumerate(groups.values()):
            if k == 0:
                links[index] = replace(link, geoms=tuple(group))
            else:
                zero = np.zeros(3)
                links.append(Link(link.body, index, -1, zero, IDENTITY, zero, geoms=tuple(group), offset=link.offset))


def _depth_first(links: list[Link]) -> tuple[Link, ...]:
    """The links in the order Bullet numbers them in: each branch to its end."""
    order: list[int] = []

    def visit(index: int) -> None:
        order.append(index)
        for child, link in enumerate(links):
            if link.parent == index:
                visit(child)

    visit(0)
    place = {old: new for new, old in enumerate(order)} | {-1: -1}
    return tuple(replace(links[old], parent=place[links[old].parent]) for old in order)


def rotate(quaternion: Array, vector: Array) -> Array:
    """`vector` [3] turned by `quaternion` (w, x, y, z)."""
    result = np.zeros(3)
    mujoco.mju_rotVecQuat(result, vector, quaternion)
    return result
