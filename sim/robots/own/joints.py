"""Which joints the policy moves, which follow by themselves, which are welded, and which constraints stay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco

from policies.errors import UserError
from sim.robots.own.tree import Tree

_KINDS = mujoco.mjtJoint
HINGE, SLIDE, FREE = int(_KINDS.mjJNT_HINGE), int(_KINDS.mjJNT_SLIDE), int(_KINDS.mjJNT_FREE)


@dataclass(frozen=True)
class Joints:
    """Joints by name, constraints and tendons by name."""

    policy: tuple[str, ...]
    passive: tuple[str, ...]
    """Joints without a motor of ours: they move as the file's constraints, springs and masses say."""
    welded: tuple[str, ...]
    equalities: frozenset[str]
    """The equality constraints that are kept."""
    tendons: frozenset[str]
    """The tendons that are kept."""
    warnings: tuple[str, ...]


def choose_joints(
    tree: Tree,
    listed: Sequence[str],
    passive: Sequence[str],
    unnamed: set[str],
    gains: Callable[[str], bool],
    what: str,
) -> Joints:
    """`listed` joints, or all hinges that something drives; `gains` tells whether the spec has gains for a joint, which
    makes it one of the policy's. `unnamed` are names that the file does not have."""
    model = tree.model
    constraints = _Constraints(tree)
    own = [_name(model, j) for j in tree.joints()]
    kinds = {_name(model, j): int(model.jnt_type[j]) for j in tree.joints()}
    driven = driven_joints(model)
    undriven = [name for name in own if driven and name not in driven]
    found = list(listed) or [
        name
        for name in own
        if kinds[name] == HINGE
        and name not in passive
        and (gains(name) or (name not in undriven and name not in constraints.followers))
    ]
    base = tree.name(tree.base)
    if HINGE not in kinds.values():
        raise UserError(f"{what}: no hinge moves a body on {base}; a robot's legs have hinges")
    if not found:
        raise UserError(
            f"{what}: every actuator of its file acts on something else than a hinge on {base}; add motors, or "
            "joints: [JOINT, ...] to the spec"
        )
    if set(found) & unnamed:
        bodies = [tree.name(int(model.jnt_bodyid[model.joint(name).id])) for name in found if name in unnamed]
        shown = ", ".join(bodies[:5]) + (f" and {len(bodies) - 5} more" if len(bodies) > 5 else "")
        raise UserError(f"{what}: joints without a name move {shown}; give them names")
    wrong = [name for name in found if kinds.get(name) not in (HINGE, SLIDE)]
    if wrong:
        named = ", ".join(wrong)
        raise UserError(f"{what}: {named} can't be among its joints; those are hinges or slides of its legs")
    free = set(passive) | constraints.joints | (set() if listed else set(undriven))
    freed = tuple(name for name in own if name not in found and name in free)
    welded = tuple(name for name in own if name not in found and name not in free)
    warnings = list(constraints.warnings)
    if welded:
        warnings.append(f"welded where they are at 0: {', '.join(welded)}")
    if freed:
        warnings.append(f"passive, moved by no motor: {', '.join(freed)}")
    return Joints(
        tuple(found), freed, welded, frozenset(constraints.equalities), frozenset(constraints.tendons), tuple(warnings)
    )


def driven_joints(model: mujoco.MjModel) -> set[str]:
    """Names of the joints that an actuator acts on, directly."""
    return {_name(model, int(model.actuator_trnid[a, 0])) for a in range(model.nu) if acts_on_joint(model, a)}


def acts_on_joint(model: mujoco.MjModel, actuator: int) -> bool:
    kinds = mujoco.mjtTrn
    return int(model.actuator_trntype[actuator]) in (int(kinds.mjTRN_JOINT), int(kinds.mjTRN_JOINTINPARENT))


def _name(model: mujoco.MjModel, joint: int) -> str:
    return str(model.joint(joint).name)


class _Constraints:
    """The equalities and tendons that act on robot and props alone, and the joints that they involve."""

    def __init__(self, tree: Tree) -> None:
        self._tree, self._kept = tree, tree.kept
        model = tree.model
        self.joints: set[str] = set()
        self.followers: set[str] = set()
        self.equalities: list[str] = []
        self.tendons: list[str] = []
        self.warnings: list[str] = []
        acting = {t for t in range(model.ntendon) if self._acts(t)}
        for equality in range(model.neq):
            if model.eq_active0[equality]:
                self._equality(equality, acting)
        for tendon in sorted(acting):
            joints = self._of_tendon(tendon)
            if joints is None:
                self._left_out(f"tendon {model.tendon(tendon).name}")
            else:
                self.tendons.append(str(model.tendon(tendon).name))
                self._involve(joints)

    def _left_out(self, element: str) -> None:
        self.warnings.append(f"left out, because it holds the robot to the world or to scenery: {element}")

    def _involve(self, joints: set[int]) -> None:
        model = self._tree.model
        self.joints |= {_name(model, j) for j in joints if model.jnt_type[j] != FREE}

    def _acts(self, tendon: int) -> bool:
        """Whether the tendon does something without an actuator."""
        model = self._tree.model
        fields: Sequence[Any] = (
            model.tendon_stiffness, model.tendon_stiffnesspoly, model.tendon_damping, model.tendon_dampingpoly,
            model.tendon_frictionloss, model.tendon_limited, model.tendon_armature,
        )  # fmt: skip
        return any(bool((field[tendon] != 0).any()) for field in fields)

    def _equality(self, equality: int, acting: set[int]) -> None:
        model, kinds = self._tree.model, mujoco.mjtEq
        one, other = int(model.eq_obj1id[equality]), int(model.eq_obj2id[equality])
        kind, name = int(model.eq_type[equality]), str(model.equality(equality).name)
        joints: set[int] | None = None
        if kind == kinds.mjEQ_JOINT:
            joints = self._whole({one, other} - {-1})
            if joints is not None and other >= 0:
                self.followers.add(_name(model, one))
        elif kind == kinds.mjEQ_TENDON:
            parts = [self._of_tendon(tendon) for tendon in (one, other) if tendon >= 0]
            joints = None if None in parts else {joint for part in parts for joint in part or ()}
            if joints is not None:
                acting |= {tendon for tendon in (one, other) if tendon >= 0}
        elif kind in (int(kinds.mjEQ_CONNECT), int(kinds.mjEQ_WELD)):
            of_site = model.eq_objtype[equality] == mujoco.mjtObj.mjOBJ_SITE
            bodies = [int(model.site_bodyid[i]) if of_site else i for i in (one, other)]
            if all(body in self._kept for body in bodies):
                joints = self._between(*bodies)
        if joints is None:
            self._left_out(f"equality {name}")
            return
        self.equalities.append(name)
        self._involve(joints)

    def _whole(self, joints: set[int]) -> set[int] | None:
        """The joints, None if one of them is neither the robot's nor a prop's."""
        bodies = self._tree.model.jnt_bodyid
        return joints if all(int(bodies[j]) in self._kept for j in joints) else None

    def _of_tendon(self, tendon: int) -> set[int] | None:
        """The joints that the tendon's length depends on."""
        model, kinds = self._tree.model, mujoco.mjtWrap
        first = int(model.tendon_adr[tendon])
        joints: set[int] = set()
        bodies: list[int] = []
        for k in range(first, first + int(model.tendon_num[tendon])):
            kind, of = int(model.wrap_type[k]), int(model.wrap_objid[k])
            if kind == kinds.mjWRAP_JOINT:
                joints.add(of)
            elif kind == kinds.mjWRAP_SITE:
                bodies.append(int(model.site_bodyid[of]))
            elif kind in (int(kinds.mjWRAP_SPHERE), int(kinds.mjWRAP_CYLINDER)):
                bodies.append(int(model.geom_bodyid[of]))
        if not all(body in self._kept for body in bodies):
            return None
        for one, other in zip(bodies, bodies[1:], strict=False):
            joints |= self._between(one, other)
        return self._whole(joints)

    def _between(self, one: int, other: int) -> set[int]:
        """The joints on the way from one body to the other through the tree."""
        model = self._tree.model

        def up(body: int) -> set[int]:
            chain = set()
            while body:
                chain.add(body)
                body = int(model.body_parentid[body])
            return chain

        apart = up(one) ^ up(other)
        return {j for j in range(model.njnt) if int(model.jnt_bodyid[j]) in apart}
