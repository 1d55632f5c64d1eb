"""One Bullet world built from an MjModel: its state in MuJoCo's coordinates, stepped under joint forces.

Bullet's masses, inertias, frames and shapes are the model's; its contacts, its solver and its integrator are its own.
Friction: Bullet multiplies the coefficients of both surfaces where MuJoCo takes that of the geom with the higher
priority, or the larger one. The ground's is therefore 1, and each link's is MuJoCo's for that link on the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from sim.physics.pybullet import library, shapes
from sim.physics.pybullet.description import Tree, describe, may_touch, rotate, static_geoms

Array = NDArray[np.float64]
SOLVER_ITERATIONS = 50
UNLIMITED = 1e4
"""Joint speed in rad/s at which Bullet clips: faster than any robot."""


@dataclass(frozen=True)
class _Body:
    """A tree in Bullet: its number, its joints' link indices there and their addresses in qpos and qvel."""

    number: int
    tree: Tree
    free_dof: int
    links: list[int]
    qpos: NDArray[np.intp]
    dofs: NDArray[np.intp]
    reference: Array
    """qpos of the joints where Bullet's are 0 [J]."""
    undo_inertial: tuple[float, float, float, float]
    """From the axes of the base's inertial frame to its body's: a quaternion w, x, y, z."""


class BulletWorld:
    """One world; `dt` s is Bullet's step. Joint forces act for one step."""

    def __init__(self, model: mujoco.MjModel, dt: float) -> None:
        self.model = model
        self.dt = dt
        trees = describe(model)
        bullet = self._bullet = library.load()
        self.client = int(bullet.connect(bullet.DIRECT))
        if self.client < 0:
            raise UserError("pybullet has no room for another world in this process; ask for fewer robots")
        bullet.setGravity(*map(float, model.opt.gravity), physicsClientId=self.client)
        bullet.setPhysicsEngineParameter(
            fixedTimeStep=dt, numSolverIterations=SOLVER_ITERATIONS, physicsClientId=self.client
        )
        self.ground = self._add_ground()
        """Bullet's bodies of the static geoms, by geom."""
        self._link_of_geom: dict[int, tuple[int, int]] = {}
        self.bodies = [self._add(tree) for tree in trees]
        self._filter(trees)
        self.write(model.qpos0, np.zeros(model.nv))

    def close(self) -> None:
        """Free the world; it can't be used afterwards."""
        if self.client >= 0:
            self._bullet.disconnect(physicsClientId=self.client)
            self.client = -1

    def write(self, qpos: Array, qvel: Array) -> None:
        """Set the state: qpos [nq] and qvel [nv] in MuJoCo's order."""
        bullet = self._bullet
        for body in self.bodies:
            if body.tree.free >= 0:
                self._write_base(body, qpos, qvel)
            for link, q, v in zip(body.links, qpos[body.qpos] - body.reference, qvel[body.dofs], strict=True):
                bullet.resetJointState(body.number, link, float(q), float(v), physicsClientId=self.client)

    def read(self, qpos: Array, qvel: Array) -> None:
        """Put the state into qpos [nq] and qvel [nv]."""
        for body in self.bodies:
            if body.tree.free >= 0:
                self._read_base(body, qpos, qvel)
            if body.links:
                states = self._bullet.getJointStates(body.number, body.links, physicsClientId=self.client)
                qpos[body.qpos] = [state[0] for state in states]
                qpos[body.qpos] += body.reference
                qvel[body.dofs] = [state[1] for state in states]

    def step(self, force: Array, wrench: Array | None = None) -> None:
        """One step of `dt` under generalised forces [nv], of which only those of hinges and slides act.

        `wrench` [6]: force N and torque Nm in the world on the free bases, at their centres of mass.
        """
        bullet = self._bullet
        for body in self.bodies:
            if body.links:
                bullet.setJointMotorControlArray(
                    body.number,
                    body.links,
                    bullet.TORQUE_CONTROL,
                    forces=force[body.dofs].tolist(),
                    physicsClientId=self.client,
                )
            if wrench is not None and body.tree.free >= 0 and wrench.any():
                self._push(body, wrench)
        bullet.stepSimulation(physicsClientId=self.client)

    def contacts(self, geom: int) -> tuple[int, float]:
        """The number of contact points that carry a force on the geom's link, and their normal force in N."""
        number, link = self._link_of_geom[geom]
        bullet = self._bullet
        normal = [c[9] for c in bullet.getContactPoints(bodyA=number, linkIndexA=link, physicsClientId=self.client)]
        return sum(f > 0.0 for f in normal), float(sum(normal))

    def pose(self, body: int) -> tuple[Array, Array]:
        """Position [3] and orientation (w, x, y, z) of a model's body in the world, by Bullet's own kinematics."""
        for tree in self.bodies:
            for index, link in enumerate(tree.tree.links):
                if link.body == body and (link.joint >= 0 or index == 0 or link.mass > 0.0):
                    found = index
                    number, offset = tree.number, link.offset
        position, orientation = self._frame(number, found - 1)
        return position + rotate(orientation, offset), orientation

    def _frame(self, number: int, link: int) -> tuple[Array, Array]:
        """The frame of a link in the world."""
        bullet = self._bullet
        if link >= 0:
            state = bullet.getLinkState(number, link, computeForwardKinematics=1, physicsClientId=self.client)
            return np.array(state[4]), shapes.to_wxyz(state[5])
        tree = next(body.tree for body in self.bodies if body.number == number)
        position, xyzw = bullet.getBasePositionAndOrientation(number, physicsClientId=self.client)
        orientation = compose(shapes.to_wxyz(xyzw), conjugate(tree.links[0].inertial_orientation))
        return np.array(position) - rotate(orientation, tree.links[0].inertial_position), orientation

    def _write_base(self, body: _Body, qpos: Array, qvel: Array) -> None:
        """Bullet's base is its inertial frame, its velocity that of the centre of mass, all in the world."""
        bullet, base = self._bullet, body.tree.links[0]
        address, dof = body.tree.free, body.free_dof
        orientation = qpos[address + 3 : address + 7] / np.linalg.norm(qpos[address + 3 : address + 7])
        arm = rotate(orientation, base.inertial_position)
        turning = rotate(orientation, qvel[dof + 3 : dof + 6])
        bullet.resetBasePositionAndOrientation(
            body.number,
            list(qpos[address : address + 3] + arm),
            shapes.to_xyzw(compose(orientation, base.inertial_orientation)),
            physicsClientId=self.client,
        )
        velocity = qvel[dof : dof + 3] + np.cross(turning, arm)
        bullet.resetBaseVelocity(body.number, list(velocity), list(turning), physicsClientId=self.client)

    def _read_base(self, body: _Body, qpos: Array, qvel: Array) -> None:
        # Plain numbers: calls of numpy take longer than this arithmetic, which every step needs.
        base, address, dof = body.tree.links[0], body.tree.free, body.free_dof
        bullet = self._bullet
        centre, xyzw = bullet.getBasePositionAndOrientation(body.number, physicsClientId=self.client)
        linear, angular = bullet.getBaseVelocity(body.number, physicsClientId=self.client)
        orientation = _product((xyzw[3], *xyzw[:3]), body.undo_inertial)
        arm = _turn(orientation, base.inertial_position.tolist())
        swing = _cross(angular, arm)
        w, x, y, z = orientation
        qpos[address : address + 7] = (*(c - a for c, a in zip(centre, arm, strict=True)), w, x, y, z)
        still = (v - s for v, s in zip(linear, swing, strict=True))
        qvel[dof : dof + 6] = (*still, *_turn((w, -x, -y, -z), angular))

    def _push(self, body: _Body, wrench: Array) -> None:
        bullet = self._bullet
        # A force in the world frame acts at the given point, too.
        centre, _ = bullet.getBasePositionAndOrientation(body.number, physicsClientId=self.client)
        bullet.applyExternalForce(
            body.number, -1, list(wrench[:3]), centre, bullet.WORLD_FRAME, physicsClientId=self.client
        )
        bullet.applyExternalTorque(body.number, -1, list(wrench[3:]), bullet.WORLD_FRAME, physicsClientId=self.client)

    def _add_ground(self) -> dict[int, int]:
        """The static geoms' bodies by geom."""
        data = mujoco.MjData(self.model)
        mujoco.mj_kinematics(self.model, data)
        ground = {
            geom: shapes.static_body(self._bullet, self.client, self.model, data, geom)
            for geom in static_geoms(self.model)
        }
        if len({float(self.model.geom_friction[g, 0]) for g in ground}) > 1:
            raise UserError(
                "the pybullet backend takes one friction for the whole ground, the model has several; "
                "give every static geom the same, or use the mujoco backend"
            )
        for number in ground.values():
            # Bullet multiplies the two bodies' coefficients: the links carry the whole value.
            self._bullet.changeDynamics(number, -1, lateralFriction=1.0, physicsClientId=self.client)
        return ground

    def _add(self, tree: Tree) -> _Body:
        bullet, model = self._bullet, self.model
        base, links = tree.links[0], tree.links[1:]
        collision = [shapes.moving_shape(bullet, self.client, model, x.geoms, x.offset) for x in tree.links]
        hinge, slide = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)
        kinds = {hinge: bullet.JOINT_REVOLUTE, slide: bullet.JOINT_PRISMATIC}
        number = int(
            bullet.createMultiBody(
                baseMass=base.mass if tree.free >= 0 else 0.0,
                baseCollisionShapeIndex=collision[0],
                baseInertialFramePosition=list(base.inertial_position),
                baseInertialFrameOrientation=shapes.to_xyzw(base.inertial_orientation),
                linkMasses=[x.mass for x in links],
                linkCollisionShapeIndices=collision[1:],
                linkVisualShapeIndices=[-1] * len(links),
                linkPositions=[list(x.position) for x in links],
                linkOrientations=[shapes.to_xyzw(x.orientation) for x in links],
                linkInertialFramePositions=[list(x.inertial_position) for x in links],
                linkInertialFrameOrientations=[shapes.to_xyzw(x.inertial_orientation) for x in links],
                linkParentIndices=[x.parent for x in links],
                linkJointTypes=[
                    kinds[int(model.jnt_type[x.joint])] if x.joint >= 0 else bullet.JOINT_FIXED for x in links
                ],
                linkJointAxis=[list(x.axis) for x in links],
                flags=bullet.URDF_USE_SELF_COLLISION if self._touches_itself(tree) else 0,
                physicsClientId=self.client,
            )
        )
        named = [bullet.getJointInfo(number, i, physicsClientId=self.client)[12].decode() for i in range(len(links))]
        if named != [f"link{i + 1}" for i in range(len(links))]:
            raise RuntimeError(f"Bullet numbers the links in another order than they were given in: {named}")
        for index, link in enumerate(tree.links):
            # createMultiBody computes the inertia from the shapes, and Bullet damps motion by default. One setting per
            # call: pybullet ignores the inertia when it is set together with a damping or a largest speed.
            settings: dict[str, Any] = {
                "linearDamping": 0.0,
                "angularDamping": 0.0,
                "jointDamping": 0.0,
                "maxJointVelocity": UNLIMITED,
                **self._surface(link.geoms),
                "localInertiaDiagonal": list(link.inertia),
            }
            for name, value in settings.items():
                bullet.changeDynamics(number, index - 1, **{name: value}, physicsClientId=self.client)
            self._link_of_geom.update(dict.fromkeys(link.geoms, (number, index - 1)))
        driven = [i for i, x in enumerate(tree.links) if x.joint >= 0]
        joints = [tree.links[i].joint for i in driven]
        body = _Body(
            number,
            tree,
            int(model.jnt_dofadr[model.body_jntadr[base.body]]) if tree.free >= 0 else -1,
            [i - 1 for i in driven],
            model.jnt_qposadr[joints].astype(np.intp),
            model.jnt_dofadr[joints].astype(np.intp),
            model.qpos0[model.jnt_qposadr[joints]].copy(),
            tuple(conjugate(base.inertial_orientation).tolist()),
        )
        if body.links:
            # A velocity motor at rest is Coulomb friction of that size; without one it must be switched off.
            bullet.setJointMotorControlArray(
                number,
                body.links,
                bullet.VELOCITY_CONTROL,
                forces=[float(f) for f in model.dof_frictionloss[body.dofs]],
                physicsClientId=self.client,
            )
        return body

    def _surface(self, geoms: tuple[int, ...]) -> dict[str, float]:
        """Friction of a link: sliding without unit, torsional and rolling in m, each where MuJoCo's contact has it."""
        if not geoms:
            return {}
        model, touched = self.model, [geoms[0], *(g for g in self.ground if may_touch(self.model, geoms[0], g))]
        highest = max(model.geom_priority[touched])
        touched = [geom for geom in touched if model.geom_priority[geom] == highest]
        sliding, torsional, rolling = self.model.geom_friction[touched].max(0)
        dimension = int(self.model.geom_condim[touched].max())
        return {
            "lateralFriction": float(sliding),
            "spinningFriction": float(torsional) if dimension >= 4 else 0.0,
            "rollingFriction": float(rolling) if dimension >= 6 else 0.0,
            "restitution": 0.0,
        }

    def _filter(self, trees: tuple[Tree, ...]) -> None:
        """Switch off the contacts that MuJoCo does not have either."""
        links = [(body.number, i - 1, x) for body in self.bodies for i, x in enumerate(body.tree.links) if x.geoms]
        for k, (a, i, first) in enumerate(links):
            for b, j, second in links[k + 1 :]:
                if not self._touch(first.geoms[0], second.geoms[0]):
                    self._bullet.setCollisionFilterPair(a, b, i, j, 0, physicsClientId=self.client)
        for geom, number in self.ground.items():
            for a, i, link in links:
                if not may_touch(self.model, link.geoms[0], geom):
                    self._bullet.setCollisionFilterPair(number, a, -1, i, 0, physicsClientId=self.client)

    def _touches_itself(self, tree: Tree) -> bool:
        geoms = [g for link in tree.links for g in link.geoms]
        return any(self._touch(a, b) for k, a in enumerate(geoms) for b in geoms[k + 1 :])

    def _touch(self, a: int, b: int) -> bool:
        """MuJoCo's rule for two geoms that move: masks, one body, parent and child, excluded pairs."""
        model = self.model
        first, second = (int(model.geom_bodyid[g]) for g in (a, b))
        one, other = (int(model.body_weldid[body]) for body in (first, second))
        if one == other or not may_touch(model, a, b):
            return False
        related = one in self._parents(other) or other in self._parents(one)
        filtered = not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_FILTERPARENT)
        signature = {(first << 16) + second, (second << 16) + first}
        return not (related and filtered) and not signature & {int(s) for s in model.exclude_signature}

    def _parents(self, weld: int) -> set[int]:
        return {int(self.model.body_weldid[self.model.body_parentid[weld]])}


def compose(first: Array, second: Array) -> Array:
    """The quaternion product, w, x, y, z."""
    result = np.zeros(4)
    mujoco.mju_mulQuat(result, first, second)
    return result


def conjugate(quaternion: Array) -> Array:
    """The inverse of a unit quaternion, w, x, y, z."""
    w, x, y, z = quaternion
    return np.array([w, -x, -y, -z])


def _product(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _turn(quaternion: Sequence[float], vector: Sequence[float]) -> tuple[float, float, float]:
    """`rotate` on plain numbers: v + 2 w (u x v) + 2 u x (u x v)."""
    w, axis = quaternion[0], quaternion[1:]
    once = _cross(axis, vector)
    twice = _cross(axis, once)
    x, y, z = (v + 2.0 * (w * a + b) for v, a, b in zip(vector, once, twice, strict=True))
    return x, y, z
