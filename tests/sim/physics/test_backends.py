"""Backends by name, and the solver that belongs to the world and not to the robot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mujoco
import pytest
import torch

from policies.errors import UserError
from sim.physics.backends import BACKENDS, make_physics
from sim.physics.mujoco.model import build_model
from sim.physics.world import Solver, WorldSpec
from sim.robots.go1 import GO1
from sim.robots.legs import Legs
from sim.tasks import find_task

LEGS = GO1.part(Legs)

WORLD = WorldSpec(GO1, 0.02)


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_every_backend_stands_the_same_robot(name: str) -> None:
    physics = make_physics(name, WORLD, 2)
    everyone, stance = torch.ones(2, dtype=torch.bool), torch.tensor([LEGS.stance] * 2)
    start = torch.tensor(physics.model.qpos0).repeat(2, 1)
    start[:, 2], start[:, 7:] = LEGS.stand_height, stance
    physics.write(everyone, start, torch.zeros_like(physics.qvel), stance)
    for _ in range(50):
        physics.step(stance)
    assert physics.dt * physics.substeps == pytest.approx(0.02)
    assert physics.qpos[:, 2].tolist() == pytest.approx([0.26] * 2, abs=0.015)
    physics.close()


def test_a_task_is_made_in_another_backend_by_its_name() -> None:
    task = find_task("go1-velocity-flat")
    for name in task.backends:
        environment = task.make_environment(1, 0, imperfections=0.0, backend=name)
        sensors, _ = environment.reset()
        assert float(sensors["orientation"].norm()) == pytest.approx(1.0, abs=1e-5)


def test_solver_options_reach_the_model_and_those_of_a_robots_file_do_not() -> None:
    own = 'cone="elliptic" impratio="7" gravity="0 0 -1" timestep="0.1" solver="PGS"'
    options = f'<option {own}><flag contact="disable"/></option>'
    robot = replace(GO1, mjcf=lambda: GO1.mjcf().replace("<worldbody>", f"{options}<worldbody>", 1))
    plain, given = build_model(GO1), build_model(robot)
    for name in ("cone", "impratio", "timestep", "solver", "disableflags", "integrator", "iterations"):
        assert getattr(plain.opt, name) == getattr(given.opt, name), name
    assert given.opt.gravity.tolist() == [0.0, 0.0, -9.81]
    solver = Solver(0.004, "rk4", "elliptic", 33, 44, 5.0, (0.005, 1.0), islands=True)
    opt = build_model(robot, solver=solver).opt
    assert (opt.timestep, opt.iterations, opt.ls_iterations, opt.impratio) == (0.004, 33, 44, 5.0)
    assert opt.integrator == mujoco.mjtIntegrator.mjINT_RK4 and opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert opt.disableflags == 0
    assert {tuple(row) for row in build_model(robot, solver=solver).geom_solref} == {(0.005, 1.0)}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda: make_physics("mujoko", WORLD, 1),
            "no such physics backend as 'mujoko' for this robot; backends: mujoco, mujoco-hard, pybullet",
        ),
        (
            lambda: make_physics("mujoco", WORLD, 1, "cuda"),
            "the mujoco backend runs on the CPU, got device cuda; use cpu",
        ),
        (
            lambda: WorldSpec(GO1, 0.02, Solver(timestep=0.03)),
            "timestep must divide the control period of 0.02 s, got 0.03",
        ),
        (lambda: Solver(timestep=0.0), "timestep must be above 0"),
        (lambda: Solver(cone="round"), "cone must be one of pyramidal, elliptic, got 'round'"),  # type: ignore[arg-type]
        (
            lambda: find_task("go1-velocity-flat").make_environment(1, 0, backend="rotor"),
            "go1-velocity-flat does not run in",
        ),
        (
            lambda: find_task("crazyflie-hover").make_environment(1, 0, backend="mujoco"),
            "crazyflie-hover does not run in the physics backend .mujoco.; it runs in rotor",
        ),
    ],
)
def test_mistakes_get_one_line(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)
