"""Robots made of parts: an arm with a gripper, a base on two wheels and a quadrotor in the same builder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from sim.physics.backends import make_physics
from sim.physics.mujoco.model import build_model
from sim.physics.protocol import JointedPhysics
from sim.physics.rotor.physics import RotorPhysics
from sim.physics.world import Solver, WorldSpec
from sim.robots import ROBOTS, find_robot
from sim.robots.arms import Gripper, Tool
from sim.robots.legs import Legs
from sim.robots.mjcf import Inertia, body, box, capsule, document, hinge, paint, sphere
from sim.robots.robot import Frame, Robot
from sim.robots.rotors import GRAVITY, RotorParameters
from sim.robots.wheels import Wheels
from sim.terrain.terrain import FRICTION

LOOK = paint(0.5, 0.5, 0.5)
UNSEEN = paint(0.5, 0.5, 0.5, False)
SOLVER = Solver(timestep=0.002)
REACH = 0.3


def slide(name: str, axis: str, low: float, high: float) -> str:
    return f'<joint name="{name}" type="slide" axis="{axis}" limited="true" range="{low} {high}"/>'


def arm_mjcf() -> str:
    """Two joints in a vertical plane, two sliding fingers that point down, and a box between them."""

    def finger(side: str, y: float) -> str:
        axis = f"0 {-math.copysign(1.0, y):g} 0"
        return body(side, (0.0, y, -0.06), [
            Inertia(0.05, (0.0, 0.0, 0.0), (1e-5, 1e-5, 1e-5)).text(), slide(f"{side}_finger", axis, 0.0, 0.04),
            box(f"{side}_pad", (0.0, 0.0, 0.0), (0.01, 0.005, 0.03), UNSEEN),
        ])  # fmt: skip

    hand = body("hand", (REACH, 0.0, 0.0), [
        Inertia(0.2, (0.0, 0.0, 0.0), (1e-4, 1e-4, 1e-4)).text(), hinge("wrist", (0.0, 1.0, 0.0), -2.0, 2.0, 0.01),
        sphere("palm", (0.0, 0.0, 0.0), 0.02, UNSEEN), finger("left", 0.05), finger("right", -0.05),
    ])  # fmt: skip
    upper = body("upper", (0.0, 0.0, 0.5), [
        Inertia(1.0, (REACH / 2, 0.0, 0.0), (0.01, 0.01, 0.01)).text(),
        hinge("shoulder", (0.0, 1.0, 0.0), -1.5, 1.5, 0.02),
        capsule("link", (0.0, 0.0, 0.0), (REACH, 0.0, 0.0), 0.02, UNSEEN), hand,
    ])  # fmt: skip
    cube = body("cube", (REACH, 0.0, 0.44), [
        "<freejoint/>", Inertia(0.05, (0.0, 0.0, 0.0), (2e-5, 2e-5, 2e-5)).text(),
        box("cube", (0.0, 0.0, 0.0), (0.02, 0.02, 0.02), LOOK),
    ])  # fmt: skip
    return document("arm", [body("pedestal", (0.0, 0.0, 0.0), [upper]), cube])


PADS = ("left_pad", "right_pad")
ARM = Robot(
    name="arm", mjcf=arm_mjcf, base="pedestal", joints=("shoulder", "wrist"), stiffness=(300.0, 100.0),
    damping=(20.0, 5.0), torque_limit=(40.0, 10.0), joint_low=(-1.5, -2.0), joint_high=(1.5, 2.0),
    joint_speed=(3.0, 3.0), contacts=((PADS, ("cube",)),),
    parts=(
        Gripper(("left_finger", "right_finger"), 2000.0, 20.0, 5.0, opened=(0.0, 0.0), closed=(0.04, 0.04)),
        Tool(Frame("hand", position=(0.0, 0.0, -0.06))),
    ),
)  # fmt: skip


def cart_mjcf() -> str:
    """A body on two round wheels, which touch the ground in a point, and two slippery balls."""
    wheels = [
        body(f"{side}_wheel", (0.0, y, 0.0), [
            Inertia(0.3, (0.0, 0.0, 0.0), (1e-3, 1e-3, 1e-3)).text(),
            f'<joint name="{side}" type="hinge" axis="0 1 0"/>',
            sphere(f"{side}_tyre", (0.0, 0.0, 0.0), 0.1, LOOK),
        ])
        for side, y in (("left", 0.2), ("right", -0.2))
    ]  # fmt: skip
    base = [
        "<freejoint/>", Inertia(5.0, (0.0, 0.0, 0.0), (0.1, 0.1, 0.1)).text(),
        *(sphere(f"caster_{x:+g}", (x, 0.0, -0.06), 0.04, LOOK) for x in (0.15, -0.15)), *wheels,
    ]  # fmt: skip
    return document("cart", [body("chassis", (0.0, 0.0, 0.1), base)])


CART = Robot(
    "cart", cart_mjcf, "chassis",
    parts=(Wheels(("left",), ("right",), radius=0.1, track=0.4, damping=1.0, torque_limit=10.0),),
    friction=(("caster_+0.15", 0.001), ("caster_-0.15", 0.001)),
)  # fmt: skip


def sensor(physics: JointedPhysics, name: str) -> Tensor:
    return physics.values[:, physics.columns(name)]


@pytest.mark.parametrize("backend", ["mujoco", "pybullet"])
def test_an_arm_moves_its_tool_where_its_joints_say(backend: str) -> None:
    physics = make_physics(backend, WorldSpec(ARM, 0.02, SOLVER), 2)
    command = torch.tensor([[0.4, -0.4, 0.0, 0.0], [-0.6, 0.6, 0.01, 0.01]])
    for _ in range(100):
        physics.step(command)
    q = torch.cat([sensor(physics, f"joint/{joint}_position") for joint in ARM.joints], 1)
    # The motors give way under the arm's weight, the tool is where the joints are.
    torch.testing.assert_close(q, command[:, :2], atol=0.05, rtol=0.0)
    first, both = q[:, 0], q.sum(1)
    expected = torch.stack(
        (REACH * first.cos() - 0.06 * both.sin(), 0.0 * first, 0.5 - REACH * first.sin() - 0.06 * both.cos()), 1
    )
    torch.testing.assert_close(sensor(physics, "tool_position"), expected, atol=2e-3, rtol=0.0)
    orientation = sensor(physics, "tool_orientation")
    torch.testing.assert_close(2.0 * torch.atan2(orientation[:, 2], orientation[:, 0]), both, atol=2e-3, rtol=0.0)
    assert float(sensor(physics, "tool_linear_velocity").norm(dim=-1).max()) < 0.01
    assert float(sensor(physics, "tool_angular_velocity").norm(dim=-1).max()) < 0.05
    assert "imu_gyro" not in [physics.model.sensor(i).name for i in range(physics.model.nsensor)]
    physics.close()


def cube_height(robot: Robot, closed: bool) -> float:
    """Height in m of the cube after the gripper has closed or stayed open, and the arm has lifted it by 6 cm."""
    physics = make_physics("mujoco", WorldSpec(robot, 0.02, replace(SOLVER, cone="elliptic", iterations=50)), 1)
    cube = int(physics.model.jnt_qposadr[physics.model.body("cube").jntadr[0]])
    gripper = robot.part(Gripper)
    fingers = gripper.closed if closed else gripper.opened
    for shoulder, steps in ((0.0, 25), (-0.2, 75)):
        for _ in range(steps):
            if shoulder == 0.0:
                physics.qpos[:, cube + 2], physics.qvel[:, -6:] = 0.44, 0.0
            physics.step(torch.tensor([[shoulder, -shoulder, *fingers]]))
    return float(physics.qpos[0, cube + 2])


def test_fingers_hold_what_their_robot_says_they_touch_and_nothing_else() -> None:
    assert cube_height(ARM, closed=True) == pytest.approx(0.44 + REACH * math.sin(0.2), abs=0.02)
    assert cube_height(ARM, closed=False) < 0.03
    assert cube_height(replace(ARM, contacts=()), closed=True) < 0.03


def test_geoms_of_a_group_touch_the_other_group_the_ground_and_nothing_else() -> None:
    model = build_model(ARM, solver=SOLVER)

    def touch(a: str, b: str) -> bool:
        one, other = model.geom(a), model.geom(b)
        return bool(one.contype & other.conaffinity or other.contype & one.conaffinity)

    assert touch("left_pad", "cube") and touch("right_pad", "cube") and touch("cube", "floor")
    assert not touch("left_pad", "right_pad") and not touch("palm", "cube") and not touch("palm", "floor")
    assert not touch("left_pad", "floor")
    np.testing.assert_allclose(model.geom("floor").friction, FRICTION)


@pytest.mark.parametrize("backend", ["mujoco", "pybullet"])
@pytest.mark.parametrize(("forward", "yaw_rate"), [(0.5, 0.0), (0.0, 0.8), (0.3, -0.5)])
def test_a_cart_goes_and_turns_as_its_wheels_say(backend: str, forward: float, yaw_rate: float) -> None:
    physics = make_physics(backend, WorldSpec(CART, 0.02, SOLVER), 1)
    command = torch.tensor([CART.part(Wheels).speeds(forward, yaw_rate)])
    for _ in range(100):
        physics.step(command)
    assert float(sensor(physics, "base_linear_velocity")[0, 0]) == pytest.approx(forward, abs=0.03)
    assert float(sensor(physics, "imu_gyro")[0, 2]) == pytest.approx(yaw_rate, abs=0.06)
    speeds = torch.cat([sensor(physics, f"joint/{side}_velocity") for side in ("left", "right")], 1)
    torch.testing.assert_close(speeds, command, atol=0.5, rtol=0.0)
    physics.close()


@pytest.mark.parametrize("name", ["crazyflie", "crazyflie-2025"])
def test_a_quadrotors_body_moves_in_mujoco_as_in_rotor_physics(name: str) -> None:
    """Thrown and spinning, without thrust: the same mass, inertia and conventions of positions and velocities."""
    robot = find_robot(name)
    rotors = robot.part(RotorParameters)
    mujoco_physics = make_physics("mujoco", WorldSpec(robot, 0.01, Solver(timestep=0.0005, integrator="rk4")), 2)
    # No thrust at rest, so that only the body moves.
    still = replace(rotors, thrust=(0.0, *rotors.thrust[1:]))
    rotor_physics = RotorPhysics(2, still, 0.0005, substeps=20)
    start = torch.tensor([[0.0, 0.0, 5.0, 1.0, 0.0, 0.0, 0.0], [1.0, 2.0, 9.0, 0.6, 0.0, 0.8, 0.0]])
    speed = torch.tensor([[0.5, -1.0, 2.0, 3.0, -2.0, 1.0], [0.0, 0.0, 0.0, 8.0, 1.0, -4.0]])
    for physics in (mujoco_physics, rotor_physics):
        physics.write(torch.ones(2, dtype=torch.bool), start, speed)
    for _ in range(30):
        mujoco_physics.step(torch.zeros(2, 0))
        rotor_physics.step(torch.zeros(2, 4))
    torch.testing.assert_close(mujoco_physics.qpos.float(), rotor_physics.qpos, atol=2e-4, rtol=0.0)
    torch.testing.assert_close(mujoco_physics.qvel.float(), rotor_physics.qvel, atol=2e-3, rtol=0.0)
    assert mujoco_physics.model.body_mass.sum() == pytest.approx(rotors.mass)
    assert GRAVITY == -mujoco_physics.model.opt.gravity[2]


@pytest.mark.parametrize("name", sorted(ROBOTS))
def test_every_robot_of_every_family_compiles(name: str) -> None:
    model = build_model(find_robot(name))
    assert model.nu == len(find_robot(name).motors)
    assert model.body(find_robot(name).base).jntnum == 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: find_robot("crazyfly"), r"no robot 'crazyfly'\. Did you mean crazyflie"),
        (lambda: find_robot("crazyflie").part(Legs), "robot crazyflie has no legs"),
        (lambda: find_robot("go1").part(RotorParameters), "robot go1 has no rotors"),
        (lambda: replace(CART, parts=(replace(CART.part(Wheels), right=()),)), "a joint on each side"),
        (
            lambda: replace(CART, parts=(replace(CART.part(Wheels), radius=0.0),)),
            "radius of the wheels must be above 0",
        ),
        (lambda: replace(CART, parts=(replace(CART.part(Wheels), right=("left",)),)), "motors names left twice"),
        (lambda: ARM.with_part(replace(ARM.part(Gripper), closed=(0.04,))), "closed needs a position for each finger"),
        (lambda: build_model(replace(ARM, contacts=((PADS, ("brick",)),))), "has no geom brick; it has cube, left_pad"),
        (lambda: build_model(ARM.with_part(Tool(Frame("fist")))), "has no body fist; it has cube, hand"),
        (
            lambda: build_model(replace(ARM, contacts=((PADS, ("cube",)),) * 31)),
            "contacts has 31 pairs, expected at most",
        ),
    ],
)
def test_what_does_not_fit_is_one_clear_line(wrong: Callable[[], object], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_joints_beyond_a_robots_own_keep_their_place_in_commands_and_sensors() -> None:
    model = build_model(ARM, solver=SOLVER)
    order = ["shoulder", "wrist", "left_finger", "right_finger"]
    assert [model.actuator(i).name for i in range(model.nu)] == order == [motor.joint for motor in ARM.motors]
    assert isinstance(model, mujoco.MjModel)
