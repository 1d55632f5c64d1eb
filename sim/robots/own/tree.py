"""Which bodies of a model are the robot, which are props that move beside it, and which are scenery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco

from policies.errors import UserError
from sim.robots.own.files import near


@dataclass(frozen=True)
class Tree:
    """Bodies by number: the robot's `base` and all bodies on it, and the roots of the trees of props and scenery."""

    model: mujoco.MjModel
    base: int
    robot: frozenset[int]
    props: tuple[int, ...]
    """Roots of other trees that have joints: they are kept."""
    scenery: tuple[int, ...]
    """Roots without joints, and those that a mocap moves: a world has a ground of its own in their place."""

    def name(self, body: int) -> str:
        return str(self.model.body(body).name)

    @property
    def kept(self) -> set[int]:
        """All bodies of the robot and of props."""
        return {body for body in range(1, self.model.nbody) if body in self.robot or self.root(body) in self.props}

    def root(self, body: int) -> int:
        return int(self.model.body_rootid[body])

    def joints(self) -> list[int]:
        """The robot's joints but those of the base itself, in the file's order."""
        bodies = self.model.jnt_bodyid
        return [j for j in range(self.model.njnt) if bodies[j] in self.robot and bodies[j] != self.base]


def find_tree(model: mujoco.MjModel, base: str, what: str) -> Tree:
    """The robot on the body called `base`, or, if that is empty, on the floating body with the most joints.

    Without a floating body with joints on it, it is the root with the most joints. UserError when that does not tell.
    """
    roots = [b for b in range(1, model.nbody) if model.body_parentid[b] == 0]
    names = [str(model.body(b).name) for b in range(1, model.nbody)]
    if base:
        if base not in names:
            raise UserError(f"{what}: the MJCF has no body {base}; {near(base, names)}")
        chosen = int(model.body(base).id)
        if chosen not in roots:
            root = model.body(model.body_rootid[chosen]).name
            raise UserError(f"{what}: base {base} is a part of {root}; the base must be a body of the world, as {root}")
    else:
        chosen = _most_joints(model, roots, what)
    others = [root for root in roots if root != chosen]
    moving = [root for root in others if _joints_below(model, root) and model.body_mocapid[root] < 0]
    robot = frozenset(b for b in range(1, model.nbody) if model.body_rootid[b] == chosen)
    return Tree(model, chosen, robot, tuple(moving), tuple(root for root in others if root not in moving))


def _joints_below(model: mujoco.MjModel, root: int) -> int:
    return sum(int(model.body_jntnum[b]) for b in range(1, model.nbody) if model.body_rootid[b] == root)


def _most_joints(model: mujoco.MjModel, roots: Sequence[int], what: str) -> int:
    free = {int(model.jnt_bodyid[j]) for j in range(model.njnt) if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE}
    counts = {root: _joints_below(model, root) - (root in free) for root in roots if model.body_mocapid[root] < 0}
    # A floating thing without joints of its own, such as a crate, is no robot.
    moved = {root: count for root, count in counts.items() if count}
    if not moved:
        raise UserError(f"{what}: its file holds no robot: no body has hinges, slides or balls on it")
    counts = {root: count for root, count in moved.items() if root in free} or moved
    most = [root for root, count in counts.items() if count == max(counts.values())]
    if len(most) > 1:
        named = " and ".join(str(model.body(root).name) for root in most)
        raise UserError(
            f"{what}: can't tell which body is the base: {named} have as many joints; add base: NAME to "
            "the robot's spec"
        )
    return most[0]


def touching(spec: Any, tree: Tree) -> set[str]:
    """Names of the geoms of robot and props that touch the ground in the file: by a pair, or by masks that fit those of
    the file's own ground, where it has one, without an exclusion."""
    model = tree.model
    kept = tree.kept
    body = {geom: int(model.geom_bodyid[geom]) for geom in range(model.ngeom)}
    paired = set()
    for pair in spec.pairs:
        ends = [model.geom(name).id for name in (pair.geomname1, pair.geomname2)]
        outside = [geom for geom in ends if body[geom] not in kept]
        if len(outside) == 1:
            paired |= set(ends) - set(outside)
    excluded = {frozenset((exclude.bodyname1, exclude.bodyname2)) for exclude in spec.excludes}
    types, affinities = model.geom_contype, model.geom_conaffinity
    ground = [g for g, of in body.items() if of not in kept and (types[g] or affinities[g])]

    def meets(geom: int, other: int) -> bool:
        fits = types[geom] & affinities[other] or types[other] & affinities[geom]
        return bool(fits) and frozenset((tree.name(body[geom]), tree.name(body[other]))) not in excluded

    def touches(geom: int) -> bool:
        if geom in paired:
            return True
        if ground:
            return any(meets(geom, other) for other in ground)
        free = frozenset((tree.name(body[geom]), "world")) not in excluded
        return bool(types[geom] or affinities[geom]) and free

    return {str(model.geom(geom).name) for geom, of in body.items() if of in kept and touches(geom)}
