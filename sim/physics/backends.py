"""The physics backends by name. A new backend is new files and one line in `BACKENDS`, or in `ROTOR_BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch

from policies.errors import UserError
from sim.physics.protocol import JointedPhysics
from sim.physics.world import WorldSpec
from sim.robots.rotors import RotorParameters

if TYPE_CHECKING:
    from sim.physics.rotor.physics import RotorPhysics

T = TypeVar("T")


def _mujoco(world: WorldSpec, num_worlds: int, device: str) -> JointedPhysics:
    from sim.physics.mujoco.model import build_model
    from sim.physics.mujoco.physics import MujocoPhysics

    _only_cpu("mujoco", device)
    return MujocoPhysics(build_model(world.robot, world.terrain, world.solver), num_worlds, substeps=world.substeps)


def _mujoco_hard(world: WorldSpec, num_worlds: int, device: str) -> JointedPhysics:
    # Friction that does not creep, true cones, contacts that yield for 5 ms, and a solver that gets there.
    hard = replace(world.solver, timestep=0.002, impratio=10.0, cone="elliptic", iterations=50, contact=(0.005, 1.0))
    return _mujoco(replace(world, solver=hard), num_worlds, device)


def _pybullet(world: WorldSpec, num_worlds: int, device: str) -> JointedPhysics:
    from sim.physics.mujoco.model import build_model
    from sim.physics.pybullet.physics import PybulletPhysics

    _only_cpu("pybullet", device)
    return PybulletPhysics(build_model(world.robot, world.terrain, world.solver), num_worlds, substeps=world.substeps)


def _rotor(world: WorldSpec, num_worlds: int, device: str) -> RotorPhysics:
    from sim.physics.rotor.physics import RotorPhysics

    rotors, dt = world.robot.part(RotorParameters), world.solver.timestep
    return RotorPhysics(num_worlds, rotors, dt, device, torch.get_num_threads(), world.substeps)


def _only_cpu(backend: str, device: str) -> None:
    if torch.device(device).type != "cpu":
        raise UserError(f"the {backend} backend runs on the CPU, got device {device}; use cpu")


BACKENDS: dict[str, Callable[[WorldSpec, int, str], JointedPhysics]] = {
    "mujoco": _mujoco,
    "mujoco-hard": _mujoco_hard,
    "pybullet": _pybullet,
}
"""For robots with joints: MuJoCo on all cores, the same with contacts nearly as hard as Bullet's, and Bullet."""
ROTOR_BACKENDS: dict[str, Callable[[WorldSpec, int, str], RotorPhysics]] = {
    "rotor": _rotor,
}
"""For quadrotors: Warp kernels, which are differentiable."""


def make_physics(backend: str, world: WorldSpec, num_worlds: int, device: str = "cpu") -> JointedPhysics:
    """`num_worlds` copies of `world`, whose robot has joints, in the backend called `backend`.

    UserError for an unknown backend, one that can't simulate the world, or a device that it does not run on;
    ModuleNotFoundError for one whose library is not installed.
    """
    return _found(BACKENDS, backend)(world, num_worlds, device)


def make_rotor_physics(backend: str, world: WorldSpec, num_worlds: int, device: str = "cpu") -> RotorPhysics:
    """`num_worlds` copies of `world`, whose robot is a quadrotor; otherwise as `make_physics`."""
    return _found(ROTOR_BACKENDS, backend)(world, num_worlds, device)


def _found(backends: Mapping[str, T], name: str) -> T:
    if name not in backends:
        raise UserError(f"there is no such physics backend as {name!r} for this robot; backends: {', '.join(backends)}")
    return backends[name]
