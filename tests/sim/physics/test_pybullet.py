"""Bullet against MuJoCo on the same compiled model: construction exactly, motion within the bounds stated here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.errors import UserError
from sim.physics.mujoco.model import build_model
from sim.physics.mujoco.physics import MujocoPhysics
from sim.physics.protocol import JointedPhysics
from sim.physics.pybullet.physics import PybulletPhysics
from sim.physics.pybullet.world import BulletWorld
from sim.physics.world import Solver
from sim.robots.go1 import GO1
from sim.robots.legs import Legs

LEGS = GO1.part(Legs)

Array = NDArray[np.float64]
NO_CONTACT = int(mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_LIMIT)

ARM = """<mujoco><compiler angle="radian"/><worldbody>
  <body pos="0.1 0.2 1" quat="0.8 0 0.6 0">
    <inertial pos="0.02 0.01 -0.1" mass="0.7" diaginertia="0.01 0.02 0.015" quat="0.9 0.1 0.3 0.2"/>
    <joint name="turn" type="hinge" axis="0 1 0" pos="0.05 0 0.1" ref="0.2"/>
    <joint name="push" type="slide" axis="0.6 0 0.8" pos="0 0.3 0"/>
    <body pos="0 0.1 -0.3" quat="0.6 0.8 0 0">
      <inertial pos="0 0 -0.1" mass="0.4" diaginertia="0.003 0.002 0.001"/>
      <joint name="bend" type="hinge" axis="1 0 0" pos="0 0 0.02"/>
      <joint name="twist" type="hinge" axis="0 0 1" pos="0.01 0 0"/>
    </body>
  </body>
</worldbody></mujoco>"""

PENDULUM = """<mujoco><compiler angle="radian"/><option timestep="0.001" integrator="RK4"/><worldbody>
  <body pos="0 0 1">
    <inertial pos="0 0 -0.3" mass="1" diaginertia="0.01 0.01 0.001"/>
    <joint name="swing" type="hinge" axis="0 1 0" damping="{damping}" armature="{armature}" limited="{limited}"
           range="-0.4 1.5"/>
  </body>
</worldbody></mujoco>"""

BALL = """<mujoco><option timestep="0.002"/><worldbody>
  <geom name="floor" type="plane" size="0 0 1" friction="{ground} 0 0"/>
  <body name="ball" pos="0 0 {height}"><freejoint/>
    <inertial pos="0.01 0 0" mass="0.5" diaginertia="0.002 0.002 0.002"/>
    <geom name="shape" {shape} friction="{own} 0 0"/>
  </body>
</worldbody><sensor><framepos name="place" objtype="body" objname="ball"/></sensor></mujoco>"""

FOLDING = """<mujoco><option timestep="0.001" gravity="0 0 0"/><worldbody>
  <body name="root" pos="0 0 1">
    <inertial pos="0 0 0" mass="1" diaginertia="0.1 0.1 0.1"/>
    <joint type="slide" axis="0 1 0"/><geom type="sphere" size="0.1" contype="{a}" conaffinity="{b}"/>
    <body>
      <inertial pos="0 0 0" mass="0.1" diaginertia="0.01 0.01 0.01"/><joint type="slide" axis="1 0 0"/>
      <body name="leaf" pos="0.5 0 0">
        <inertial pos="0 0 0" mass="1" diaginertia="0.1 0.1 0.1"/><joint type="slide" axis="1 0 0"/>
        <geom type="sphere" size="0.1" contype="{a}" conaffinity="{b}"/>
      </body>
    </body>
  </body>
</worldbody><contact>{contact}</contact></mujoco>"""


def put(physics: JointedPhysics, qpos: Array, qvel: Array, command: Tensor | None = None) -> None:
    """Start all worlds from positions [N, nq] and velocities [N, nv]."""
    everyone = torch.ones(len(qpos), dtype=torch.bool)
    physics.write(everyone, torch.from_numpy(qpos), torch.from_numpy(qvel), command)


@contextmanager
def bullet(model: mujoco.MjModel, worlds: int = 1, substeps: int = 4) -> Iterator[PybulletPhysics]:
    physics = PybulletPhysics(model, worlds, substeps=substeps)
    yield physics
    physics.close()


def ball(shape: str, height: float, ground: float = 0.8, own: float = 0.5) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(BALL.format(shape=shape, height=height, ground=ground, own=own))


def pendulum(damping: float = 0.0, armature: float = 0.0, limited: str = "false") -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(PENDULUM.format(damping=damping, armature=armature, limited=limited))


def models() -> dict[str, mujoco.MjModel]:
    return {"go1": build_model(GO1, solver=Solver(timestep=0.005)), "arm": mujoco.MjModel.from_xml_string(ARM)}


@pytest.mark.parametrize("name", ["go1", "arm"])
def test_state_kinematics_and_accelerations_are_those_of_mujoco(name: str) -> None:
    model = models()[name]
    model.opt.disableflags |= NO_CONTACT
    model.dof_armature[:] = model.dof_damping[:] = model.dof_frictionloss[:] = 0.0
    random = np.random.default_rng(0)
    world, data, step = BulletWorld(model, 1e-5), mujoco.MjData(model), 1e-5
    qpos, qvel = np.zeros(model.nq), np.zeros(model.nv)
    for _ in range(5):
        data.qpos[:] = random.uniform(-1.0, 1.0, model.nq)
        if name == "go1":
            data.qpos[2] = 3.0
        mujoco.mj_normalizeQuat(model, data.qpos)
        data.qvel[:] = random.normal(size=model.nv)
        moved = [d for j in range(model.njnt) for d in [model.jnt_dofadr[j]] if model.jnt_type[j] != 0]
        data.qfrc_applied[moved] = random.normal(size=len(moved))
        mujoco.mj_forward(model, data)
        world.write(data.qpos, data.qvel)
        world.read(qpos, qvel)
        same = data.qpos.copy()
        if model.nq > model.nv and qpos[3] * same[3] < 0.0:
            same[3:7] *= -1.0
        np.testing.assert_allclose(qpos, same, atol=1e-12)
        np.testing.assert_allclose(qvel, data.qvel, atol=1e-12)
        for body in range(1, model.nbody):
            position, orientation = world.pose(body)
            np.testing.assert_allclose(position, data.xpos[body], atol=1e-6)
            assert abs(orientation @ data.xquat[body]) == pytest.approx(1.0, abs=1e-6)
        world.step(data.qfrc_applied + data.qfrc_actuator)
        world.read(qpos, qvel)
        acceleration = (qvel - data.qvel) / step
        # What masses, centres of mass, inertias, axes and anchors decide, all in one.
        assert np.abs(acceleration - data.qacc).max() < 1e-3 * np.abs(data.qacc).max()
    world.close()


def test_a_falling_body_is_where_physics_says() -> None:
    with bullet(ball('type="sphere" size="0.1"', 10.0), substeps=5) as physics:
        for _ in range(100):
            physics.step(torch.zeros(1, 0))
        place = physics.values[0, physics.columns("place")]
    # Semi-implicit Euler at 1 ms is early by g t dt / 2 = 5 mm after one second.
    assert place[2] == pytest.approx(10.0 - 0.5 * 9.81, abs=0.006)
    assert float(place[0]) == pytest.approx(0.01, abs=1e-6)  # MuJoCo's "body" is its centre of mass


@pytest.mark.parametrize(("damping", "armature"), [(0.0, 0.0), (0.05, 0.0), (0.02, 0.5)])
def test_a_pendulum_swings_as_in_mujoco(damping: float, armature: float) -> None:
    """Half a radian, two seconds, within 0.01 rad; a rotor of five times the pendulum's own inertia included."""
    model = pendulum(damping, armature)
    data = mujoco.MjData(model)
    data.qpos[0] = 0.5
    with bullet(model, substeps=10) as physics:
        put(physics, data.qpos[None].copy(), data.qvel[None].copy())
        for _ in range(200):
            physics.step(torch.zeros(1, 0))
            mujoco.mj_step(model, data, 10)
            assert float(physics.qpos[0, 0]) == pytest.approx(data.qpos[0], abs=0.01)


def test_a_joint_limit_stops_the_joint() -> None:
    with bullet(pendulum(limited="true"), substeps=10) as physics:
        put(physics, np.array([[1.4]]), np.array([[-3.0]]))
        lowest = 1.4
        for _ in range(100):
            physics.step(torch.zeros(1, 0))
            lowest = min(lowest, float(physics.qpos[0, 0]))
    assert -0.45 < lowest < -0.39


@pytest.mark.parametrize(
    ("shape", "height"),
    [
        ('type="sphere" size="0.1"', 0.1),
        ('type="box" size="0.2 0.1 0.05"', 0.05),
        ('type="capsule" size="0.05 0.2" quat="0.7071 0 0.7071 0"', 0.05),
        ('type="cylinder" size="0.2 0.04"', 0.04),
    ],
)
def test_every_shape_rests_on_the_ground_where_it_should(shape: str, height: float) -> None:
    with bullet(ball(shape, height + 0.02), substeps=10) as physics:
        for _ in range(50):
            physics.step(torch.zeros(1, 0))
        assert float(physics.qpos[0, 2]) == pytest.approx(height, abs=0.002)


def test_a_height_field_is_as_high_as_in_mujoco_everywhere() -> None:
    """Balls dropped without friction onto another slope in x than in y, beside the middle, stop at its surface."""
    heights = [0.1 * x + 0.3 * y for y in np.linspace(0.0, 1.0, 5) for x in np.linspace(0.0, 1.0, 9)]
    text = f"""<mujoco><option timestep="0.002"/><asset>
      <hfield name="slope" nrow="5" ncol="9" size="2 1 0.4 0.1" elevation="{" ".join(map(str, heights))}"/>
    </asset><worldbody><geom type="hfield" hfield="slope" pos="0.3 0.1 0.2"/>
      <body pos="0 0 2"><joint type="slide" axis="0 0 1" range="-5 5"/><geom size="0.02" mass="1"/></body>
    </worldbody></mujoco>"""
    for x, y in ((-1.0, -0.5), (1.5, -0.5), (-1.0, 0.8), (1.7, 0.9)):
        spec = mujoco.MjSpec.from_string(text)
        spec.bodies[1].pos[:2] = x, y
        model = spec.compile()
        data, hit = mujoco.MjData(model), np.zeros(1, np.int32)
        mujoco.mj_forward(model, data)
        above = np.array([x, y, 1.5])
        surface = 1.5 - mujoco.mj_ray(model, data, above, np.array([0.0, 0.0, -1.0]), None, 1, -1, hit, None)
        with bullet(model, substeps=10) as physics:
            put(physics, np.array([[-1.1]]), np.zeros((1, 1)))
            for _ in range(50):
                physics.step(torch.zeros(1, 0))
            assert 2.0 + float(physics.qpos[0, 0]) == pytest.approx(surface + 0.02, abs=0.008)


@pytest.mark.parametrize(
    ("masks", "contact", "meet"),
    [((1, 1), "", True), ((1, 0), "", False), ((1, 1), '<exclude body1="root" body2="leaf"/>', False)],
)
def test_links_of_one_robot_touch_where_they_do_in_mujoco(masks: tuple[int, int], contact: str, meet: bool) -> None:
    text = FOLDING.format(a=masks[0], b=masks[1], contact=contact)
    with bullet(mujoco.MjModel.from_xml_string(text), substeps=10) as physics:
        put(physics, np.zeros((1, 3)), np.array([[0.0, 0.0, -1.0]]))
        for _ in range(50):
            physics.step(torch.zeros(1, 0))
        distance = 0.5 + float(physics.qpos[0, 1] + physics.qpos[0, 2])
    # In half a second the leaf comes 0.5 m closer to the root, unless their radii of 0.1 m stop it.
    assert distance == pytest.approx(0.2, abs=0.01) if meet else distance < 0.05


@pytest.mark.parametrize(("ground", "own"), [(0.3, 0.1), (0.1, 0.3), (0.3, 0.3)])
def test_friction_is_the_larger_of_both_as_in_mujoco(ground: float, own: float) -> None:
    """A box thrown flat at 1 m/s stops after v^2 / (2 mu g)."""
    with bullet(ball('type="box" size="0.2 0.2 0.02"', 0.02, ground, own), substeps=10) as physics:
        speed = np.zeros((1, 6))
        speed[0, 0] = 1.0
        put(physics, physics.model.qpos0[None].copy(), speed)
        for _ in range(50):
            physics.step(torch.zeros(1, 0))
        assert float(physics.qpos[0, 0]) == pytest.approx(1.0 / (2.0 * 0.3 * 9.81), rel=0.1)


def test_a_standing_robot_agrees_between_the_engines() -> None:
    """Height within 1 cm, joints within 0.05 rad, torques within 15 % of the largest.

    MuJoCo's friction is soft: under a steady load a foot creeps, which takes load off the abduction joints until its
    spring holds the rest. Elliptic cones and stiffer friction (impratio) leave little of that here.
    """
    model = build_model(GO1, solver=Solver(timestep=0.005))
    model.opt.cone, model.opt.impratio, model.opt.iterations = mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0, 50
    stance = np.array([LEGS.stance])
    qpos = model.qpos0[None].copy()
    qpos[0, 2] = LEGS.stand_height
    qpos[0, 7:] = stance
    mine, own = PybulletPhysics(model, 1), MujocoPhysics(model, 1, threads=1)
    engines: tuple[JointedPhysics, ...] = (mine, own)
    command, found = torch.tensor(stance, dtype=torch.float32), []
    for physics in engines:
        put(physics, qpos, np.zeros((1, model.nv)), command)
        for _ in range(75):
            physics.step(command)
        found.append(physics.values[0].numpy())
    mine.close()
    a, b = found
    torque = own.group([f"joint/{joint}_torque" for joint in GO1.joints])
    assert abs(a[own.columns("base_position")][2] - b[own.columns("base_position")][2]) < 0.01
    joints = own.group([f"joint/{joint}_position" for joint in GO1.joints])
    assert np.abs(a[joints] - b[joints]).max() < 0.05
    assert np.abs(a[torque] - b[torque]).max() < 0.15 * np.abs(b[torque]).max()
    for foot in LEGS.feet:
        assert a[own.columns(f"foot/{foot}_contact")] > 0.0
    # The mean over the model's sensors of where gravity points and how fast the robot turns.
    np.testing.assert_allclose(a[own.columns("imu_orientation")], b[own.columns("imu_orientation")], atol=0.02)
    assert a[own.columns("imu_accelerometer")][2] == pytest.approx(9.81, abs=0.5)


def test_sensors_at_one_state_are_those_of_mujoco() -> None:
    model = build_model(GO1, solver=Solver(timestep=0.005))
    random = np.random.default_rng(1)
    qpos, qvel = np.tile(model.qpos0, (3, 1)), random.normal(size=(3, model.nv))
    qpos[:, 2] = 2.0
    qpos[:, 3:7] = random.normal(size=(3, 4))
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    qpos[:, 7:] = np.array(LEGS.stance) + random.uniform(-0.3, 0.3, (3, 12))
    own = MujocoPhysics(model, 3, threads=1)
    with bullet(model, 3) as mine:
        engines: tuple[JointedPhysics, ...] = (mine, own)
        for physics in engines:
            put(physics, qpos, qvel, torch.tensor([LEGS.stance] * 3))
        for name in (model.sensor(i).name for i in range(model.nsensor)):
            if name != "imu_accelerometer":
                a, b = mine.values[:, mine.columns(name)], own.values[:, own.columns(name)]
                torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4, msg=name)


def test_worlds_do_not_touch_each_other_and_a_written_state_is_taken_over() -> None:
    with bullet(ball('type="sphere" size="0.1"', 1.0), 2) as physics:
        physics.qvel[1, 2] = 2.0
        physics.step(torch.zeros(2, 0))
    assert float(physics.qvel[0, 2]) == pytest.approx(-9.81 * 0.008, abs=1e-9)
    assert float(physics.qvel[1, 2]) == pytest.approx(2.0 - 9.81 * 0.008, abs=1e-9)


def test_a_world_that_is_no_longer_finite_is_put_back_alone() -> None:
    with bullet(ball('type="sphere" size="0.1"', 1.0), 2) as physics:
        physics.qvel[1, 2] = 1e6
        physics.step(torch.zeros(2, 0))
        assert physics.failed.tolist() == [False, True]
        assert physics.qpos[1].tolist() == physics.model.qpos0.tolist()
        physics.step(torch.zeros(2, 0))
        assert not physics.failed.any()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('<joint type="ball"/><geom size="0.1"/>', "ball joints"),
        ('<freejoint/><geom type="ellipsoid" size="0.1 0.2 0.3"/>', "ellipsoid"),
        ('<freejoint/><geom size="0.1"/></body><geom size="1" friction="0.3"/><geom size="2"/><body>', "friction"),
    ],
)
def test_what_bullet_has_not_is_refused_in_one_line(body: str, says: str) -> None:
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody><body>{body}</body></worldbody></mujoco>")
    with pytest.raises(UserError, match=says) as caught:
        PybulletPhysics(model, 1)
    assert "\n" not in str(caught.value)
