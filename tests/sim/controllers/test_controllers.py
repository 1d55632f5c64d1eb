"""The classical controllers: mixing is exact, the teacher recovers, the PID removes a constant disturbance."""

from __future__ import annotations

import pytest
import torch

from policies.signals import Commands
from sim.controllers.cascaded import CascadedTeacher, Mixer, attitude_error, speed_for_thrust
from sim.controllers.pid import CascadedPid, PidGains
from sim.physics.rotor.physics import parameter_row
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import RotorParameters
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER

ROBOTS = [pytest.param(p, id=p.name) for p in PARAMETERS.values()]


@pytest.mark.parametrize("size", [1.0, 3.0])
@pytest.mark.parametrize("robot", ROBOTS)
def test_mixed_thrusts_give_the_wanted_thrust_and_torque(robot: RotorParameters, size: float) -> None:
    total = torch.tensor([0.2, 0.3])
    torque = torch.tensor([[2e-4, -1e-4, 2e-5], [0.0, 3e-4, -1e-5]])
    rows = parameter_row(robot).repeat(2, 1)
    rows[:, 11] = size
    thrust = Mixer(robot).thrusts(total, torque, rows)
    x, y, s = (torch.tensor(v) for v in (robot.rotor_x, robot.rotor_y, robot.yaw_sign))
    torch.testing.assert_close(thrust.sum(-1), total)
    made = torch.stack((size * (thrust @ y), -size * (thrust @ x), robot.torque_per_thrust * (thrust @ s)), -1)
    torch.testing.assert_close(made, torque, atol=1e-8, rtol=1e-4)


def test_rotors_are_never_asked_to_pull_and_torque_goes_before_thrust() -> None:
    robot = PARAMETERS["crazyflie"]
    thrust = Mixer(robot).thrusts(torch.tensor([0.01]), torch.tensor([[2e-3, 0.0, 0.0]]), parameter_row(robot))
    assert float(thrust.min()) >= 0.0
    assert float(thrust @ torch.tensor(robot.rotor_y)) == pytest.approx(2e-3, rel=1e-4)


@pytest.mark.parametrize("robot", ROBOTS)
def test_speed_for_thrust_inverts_the_polynomial(robot: RotorParameters) -> None:
    u = torch.linspace(0.05, 1.0, 20)[:, None]
    c0, c1, c2 = robot.thrust
    back = speed_for_thrust(c0 + c1 * u + c2 * u * u, parameter_row(robot).repeat(20, 1))
    torch.testing.assert_close(back, u)


def test_attitude_error_is_the_rotation_to_the_wanted_direction() -> None:
    upright = torch.eye(3).repeat(2, 1, 1)
    wanted = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    error = attitude_error(upright, wanted)
    assert float(error[0].norm()) < 1e-5
    torch.testing.assert_close(error[1], torch.tensor([-torch.pi / 2, 0.0, 0.0]))


def test_the_teacher_saves_nearly_every_published_start() -> None:
    env = CRAZYFLIE_HOVER.make_environment(300, 42)
    _, truth = env.reset()
    teacher = CascadedTeacher(PARAMETERS["crazyflie"])
    alive = torch.ones(300, dtype=torch.bool)
    for _ in range(300):
        step = env.step(Commands({"rotor_speed": teacher.rotor_speeds(truth)}))
        truth = step.truth
        alive &= ~step.terminated
    assert float(alive.float().mean()) > 0.85
    settled = truth["position_error"][alive].norm(dim=-1)
    assert float(settled.median()) < 0.03


def test_the_integral_removes_a_constant_disturbance() -> None:
    left = []
    for integral in (0.0, 8.0):
        env = CRAZYFLIE_HOVER.make_environment(64, 7)
        sensors, _ = env.reset()
        calm = env.snapshot()
        calm["scenario/state"] *= 0.0
        calm["scenario/state"][:, 3] = 1.0
        calm["scenario/state"][:, 13:] = 1515.9
        env.restore(calm)
        pid = CascadedPid(PARAMETERS["crazyflie"], PidGains(integral=integral), 0.01, 64)
        for _ in range(450):
            step = env.step(pid.commands(sensors))
            sensors = step.sensors
        left.append(float(step.terminal_truth["position_error"].norm(dim=-1).mean()))
    assert left[1] < 0.25 * left[0]
