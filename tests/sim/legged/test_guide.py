"""The scripted trot at the feet: where the robot's own kinematics put them for the joint targets that it gives."""

from __future__ import annotations

import math
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from policies.terms.observations import ProjectedGravity, Reading
from policies.terms.stateful import GaitClock
from sim.legged.guide import GaitGuide, GaitSettings, ObservedGuide, _at_stance
from sim.legged.mirror import legged_mirror
from sim.physics.mujoco.model import build_model
from sim.robots.go1 import GO1
from sim.robots.h1 import H1
from sim.robots.legs import Legs
from sim.robots.robot import Robot
from sim.tasks.go1_velocity_flat import GO1_VELOCITY_FLAT, SETTINGS

LEGS = GO1.part(Legs)

PLAIN = GaitSettings(
    lift=0.05, press=0.0, lead=0.0, gain=1.0, turn_gain=1.0, drift=0.0, carry=0.0, steady=0.0, lean=0.0
)
"""The feet go as commanded, without what makes up for motors, weight and the robot's sway."""
STEPS = 200
PHASE = torch.arange(STEPS) / STEPS


def feet_at(robot: Robot, model: mujoco.MjModel, joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """The feet [F, 3] in m in the frame of the base, for joint angles [J] in rad."""
    data = mujoco.MjData(model)
    for joint, angle in zip(robot.joints, joints, strict=True):
        data.joint(joint).qpos[0] = angle
    mujoco.mj_kinematics(model, data)
    base = data.body(robot.base)
    return np.array([base.xmat.reshape(3, 3).T @ (data.geom(foot).xpos - base.xpos) for foot in robot.part(Legs).feet])


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_model(GO1)


@pytest.fixture(scope="module")
def plain(model: mujoco.MjModel) -> GaitGuide:
    return GaitGuide(GO1, model, SETTINGS, PLAIN)


def clock(phase: Tensor) -> Tensor:
    """(sin, cos) [N, 2] of the gait's phase [N] in turns."""
    return torch.stack((torch.sin(2.0 * math.pi * phase), torch.cos(2.0 * math.pi * phase)), -1)


def level(rows: int) -> tuple[Tensor, Tensor]:
    """The direction of gravity and the rates, [N, 3] each, of bases that are level and at rest."""
    return torch.tensor([0.0, 0.0, -1.0]).expand(rows, 3), torch.zeros(rows, 3)


def stride(guide: GaitGuide, model: mujoco.MjModel, *command: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Over one turn of the gait: the feet [T, F, 3] in m from where they stand, and whether each is to be down."""
    actions = guide(torch.tensor([command]).expand(STEPS, 3), clock(PHASE), *level(STEPS))
    targets = np.array(LEGS.stance) + np.array(LEGS.action_scale) * actions.double().numpy()
    feet = np.array([feet_at(GO1, model, row) for row in targets]) - feet_at(GO1, model, np.array(LEGS.stance))
    down = (PHASE[:, None] + torch.tensor(SETTINGS.gait)) % 1.0 < SETTINGS.duty
    return feet, down.numpy()


def ground_speed(feet: NDArray[np.float64], down: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean velocity [F, 3] in m/s of each foot while it is down."""
    speed = np.diff(feet, axis=0) * (STEPS * SETTINGS.frequency)
    both = down[1:] & down[:-1]
    return np.array([speed[both[:, foot], foot].mean(0) for foot in range(feet.shape[1])])


@pytest.mark.parametrize("robot", [GO1, H1])
def test_the_jacobian_is_that_of_finite_differences(robot: Robot) -> None:
    model = build_model(robot)
    stance, step = np.array(robot.part(Legs).stance), 1e-5
    feet, jacobians = _at_stance(robot, model)
    assert feet == pytest.approx(feet_at(robot, model, stance), abs=1e-9)
    for joint in range(len(stance)):
        way = step * np.eye(len(stance))[joint]
        slope = (feet_at(robot, model, stance + way) - feet_at(robot, model, stance - way)) / (2.0 * step)
        assert np.array(jacobians)[:, :, joint] == pytest.approx(slope, abs=1e-7)


def test_feet_are_down_in_their_stance_and_up_in_their_swing(plain: GaitGuide, model: mujoco.MjModel) -> None:
    feet, down = stride(plain, model, 0.4, 0.0, 0.0)
    heights = feet[..., 2]
    # The joints follow the Jacobian of the stance, which is exact in the middle of the step only.
    assert np.abs(heights[down]).max() < 0.01
    assert heights[~down].min() > -0.01
    assert heights.max(0) == pytest.approx(PLAIN.lift, abs=0.01)
    # Diagonal legs swing together, and some foot is always down.
    assert (down[:, 0] == down[:, 3]).all()
    assert (down[:, 1] == down[:, 2]).all()
    assert down.any(1).all()


def test_a_standing_foot_presses_down(model: mujoco.MjModel) -> None:
    pressing = GaitGuide(GO1, model, SETTINGS, replace(PLAIN, press=0.02))
    feet, down = stride(pressing, model, 0.01, 0.0, 0.0)
    assert feet[..., 2][down].min() == pytest.approx(-0.02, abs=0.005)
    assert feet[..., 2][~down].min() > -0.005


@pytest.mark.parametrize("command", [(0.5, 0.0, 0.0), (-0.4, 0.0, 0.0), (0.0, 0.3, 0.0), (0.3, -0.2, 0.0)])
def test_feet_on_the_ground_go_back_as_the_body_is_to_go(
    plain: GaitGuide, model: mujoco.MjModel, command: tuple[float, float, float]
) -> None:
    speed = ground_speed(*stride(plain, model, *command))
    assert speed[:, :2] == pytest.approx(np.tile(-np.array(command[:2]), (4, 1)), abs=0.04)


def test_feet_on_the_ground_go_around_a_turning_body(plain: GaitGuide, model: mujoco.MjModel) -> None:
    speed = ground_speed(*stride(plain, model, 0.0, 0.0, 0.8))
    places = feet_at(GO1, model, np.array(LEGS.stance))
    around = 0.8 * np.stack((places[:, 1], -places[:, 0]), -1)
    assert speed[:, :2] == pytest.approx(around, abs=0.03)


def test_gains_and_drift_add_to_the_command(model: mujoco.MjModel) -> None:
    own = replace(PLAIN, gain=1.5, drift=0.1)
    speed = ground_speed(*stride(GaitGuide(GO1, model, SETTINGS, own), model, 0.2, 0.0, 0.0))
    assert speed[:, 0] == pytest.approx(np.full(4, -(1.5 * 0.2 + 0.1)), abs=0.04)


def test_the_lead_is_a_shift_of_the_clock(plain: GaitGuide, model: mujoco.MjModel) -> None:
    leading = GaitGuide(GO1, model, SETTINGS, replace(PLAIN, lead=math.pi / 2.0))
    command = torch.tensor([[0.4, 0.1, -0.3]]).expand(STEPS, 3)
    late = plain(command, clock(PHASE + 0.25), *level(STEPS))
    assert torch.allclose(leading(command, clock(PHASE), *level(STEPS)), late, atol=1e-5)


def test_without_a_command_the_robot_stands(plain: GaitGuide) -> None:
    assert not plain(torch.zeros(STEPS, 3), clock(PHASE), *level(STEPS)).any()


def test_targets_stay_within_an_action_s_range(plain: GaitGuide) -> None:
    wild = 50.0 * torch.randn(STEPS, 3, generator=torch.Generator().manual_seed(0))
    actions = plain(wild, clock(PHASE), *level(STEPS))
    assert actions.shape == (STEPS, len(GO1.joints))
    assert float(actions.abs().max()) == 1.0


def test_a_mirrored_command_half_a_stride_later_gives_mirrored_targets(model: mujoco.MjModel) -> None:
    guide = GaitGuide(GO1, model, SETTINGS)
    mirror = legged_mirror(GO1)
    commands = torch.randn(STEPS, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([0.5, 0.3, 0.6])
    gravity, rates = level(STEPS)
    gravity, rates = gravity + 0.2 * torch.randn(STEPS, 3), rates + torch.randn(STEPS, 3)
    swapped, axial = torch.tensor([1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, -1.0])
    mirrored = guide(commands * torch.tensor([1.0, -1.0, -1.0]), clock(PHASE + 0.5), gravity * swapped, rates * axial)
    expected = mirror.action(guide(commands, clock(PHASE), gravity, rates))
    # The right and left legs of the published model differ by some 1e-5 m.
    assert torch.allclose(mirrored, expected, atol=2e-3)


def test_a_robot_s_targets_do_not_depend_on_the_others(plain: GaitGuide) -> None:
    generator = torch.Generator().manual_seed(2)
    commands, phases = torch.randn(64, 3, generator=generator), torch.rand(64, generator=generator)
    commands[::5] = 0.0
    together = plain(commands, clock(phases), *level(64))
    for index in range(64):
        alone = plain(commands[index : index + 1], clock(phases[index : index + 1]), *level(1))
        assert torch.allclose(alone[0], together[index], atol=1e-6)


def test_it_finds_what_it_reads_in_an_observation(model: mujoco.MjModel) -> None:
    terms, own = GO1_VELOCITY_FLAT.observation_terms, GaitSettings()
    observed = ObservedGuide(GO1, SETTINGS, own, terms)
    generator = torch.Generator().manual_seed(3)
    commands, clocks = 0.5 * torch.randn(8, 3, generator=generator), clock(torch.rand(8, generator=generator))
    commands[0] = 0.0
    gravity, rates = torch.randn(8, 3, generator=generator), torch.randn(8, 3, generator=generator)

    def observation(commands: Tensor) -> Tensor:
        """Noise everywhere but in the columns of what the guide reads."""
        parts = [torch.randn(8, term.dim, generator=generator) for term in terms]
        for index, term in enumerate(terms):
            if isinstance(term, Reading) and term.sensor == "velocity_command":
                parts[index] = commands * term.scale
            elif isinstance(term, Reading) and term.sensor == "angular_velocity":
                parts[index] = rates * term.scale
            elif isinstance(term, GaitClock):
                parts[index] = clocks
            elif isinstance(term, ProjectedGravity):
                parts[index] = gravity
        return torch.cat(parts, -1)

    actions = observed(observation(commands))
    expected = GaitGuide(GO1, model, SETTINGS, own)(commands, clocks, gravity, rates)
    assert torch.allclose(actions, expected, atol=1e-6)
    # A command that normalising and back leaves next to zero still means to stand.
    assert not observed(observation(torch.full((8, 3), 1e-5))).any()


def test_targets_ahead_of_the_angles_carry_the_weight(plain: GaitGuide, model: mujoco.MjModel) -> None:
    # Motors that hold the angles of the plain gait press the feet down with the robot's weight, and with nothing else.
    command = torch.tensor([[0.3, 0.0, 0.0]]).expand(STEPS, 3)
    carrying = GaitGuide(GO1, model, SETTINGS, replace(PLAIN, carry=1.0))
    ahead = carrying(command, clock(PHASE), *level(STEPS)) - plain(command, clock(PHASE), *level(STEPS))
    torques = ahead.numpy() * np.array(LEGS.action_scale) * np.array(GO1.stiffness)
    jacobian = np.stack(_at_stance(GO1, model)[1])
    weight = float(model.body_subtreemass[1]) * 9.81
    pressed = np.einsum("tj,fjc->tfc", torques, np.linalg.pinv(jacobian))
    assert pressed[:, :, 2].sum(1) == pytest.approx(np.full(STEPS, -weight), rel=1e-3)
    assert np.abs(pressed[:, :, :2]).max() < 1e-3 * weight


def test_standing_feet_turn_with_an_excess_of_yaw_rate(plain: GaitGuide, model: mujoco.MjModel) -> None:
    # The feet push the ground along with the base's spin, so the ground pushes the base back.
    steady = GaitGuide(GO1, model, SETTINGS, replace(PLAIN, steady=0.1))
    command, gravity = torch.tensor([[0.3, 0.0, 0.2]]).expand(STEPS, 3), level(STEPS)[0]
    as_asked, spinning = (torch.tensor([[0.0, 0.0, rate]]).expand(STEPS, 3) for rate in (0.2, 0.7))
    assert torch.equal(
        steady(command, clock(PHASE), gravity, as_asked), plain(command, clock(PHASE), gravity, as_asked)
    )
    feet, jacobian = _at_stance(GO1, model)
    change = steady(command, clock(PHASE), gravity, spinning) - steady(command, clock(PHASE), gravity, as_asked)
    moved = np.stack([change.numpy() * np.array(LEGS.action_scale) @ j.T for j in jacobian], 1)
    down = (PHASE[:, None] + torch.tensor(SETTINGS.gait)) % 1.0 < SETTINGS.duty
    turned = 0.1 * 0.5 * np.stack((-feet[:, 1], feet[:, 0]), -1)
    assert moved[..., :2] == pytest.approx(np.where(down[..., None], turned, 0.0), abs=1e-3)


def test_swinging_feet_land_in_the_direction_of_a_fall(plain: GaitGuide, model: mujoco.MjModel) -> None:
    leaning = GaitGuide(GO1, model, SETTINGS, replace(PLAIN, lean=0.2))
    command, rates = torch.tensor([[0.3, 0.0, 0.0]]).expand(STEPS, 3), torch.zeros(STEPS, 3)
    nose_down = torch.tensor([[0.1, 0.0, -0.995]]).expand(STEPS, 3)
    change = leaning(command, clock(PHASE), nose_down, rates) - plain(command, clock(PHASE), nose_down, rates)
    jacobian = _at_stance(GO1, model)[1]
    moved = np.stack([change.numpy() * np.array(LEGS.action_scale) @ j.T for j in jacobian], 1)[..., 0]
    # At touch-down, phase 0 of each foot, by lean times the tilt.
    for foot, phase in enumerate(SETTINGS.gait):
        assert moved[round((1.0 - phase) % 1.0 * STEPS), foot] == pytest.approx(0.2 * 0.1, abs=2e-3)
