"""The rotor physics against mechanics, its own adjoint and a float64 reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from sim.physics.rotor.physics import RotorPhysics
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import GRAVITY, RotorParameters
from tests.sim import rotor_reference

ROBOTS = [pytest.param(p, id=p.name) for p in PARAMETERS.values()]
CRAZYFLIE = PARAMETERS["crazyflie"]


def random_states(n: int, robot: RotorParameters, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States, commands and wrenches all over the flight envelope."""
    g = torch.Generator().manual_seed(seed)
    state = torch.randn(n, 17, generator=g)
    state[:, 3:7] = torch.nn.functional.normalize(state[:, 3:7], dim=-1)
    state[:, 10:13] *= 3.0
    state[:, 13:] = torch.rand(n, 4, generator=g) * robot.max_speed
    command = torch.rand(n, 4, generator=g) * robot.max_speed
    wrench = torch.randn(n, 6, generator=g) * torch.tensor([0.02] * 3 + [1e-5] * 3)
    return state, command, wrench


def put(physics: RotorPhysics, rows: Tensor) -> None:
    """Start all worlds from state rows [N, 17]."""
    physics.write(torch.ones(len(rows), dtype=torch.bool), *rows.split((7, 6, 4), -1))


@pytest.mark.parametrize("robot", ROBOTS)
def test_hover_speed_holds_the_vehicle_still(robot: RotorParameters) -> None:
    physics = RotorPhysics(1, robot, 0.01)
    speed = torch.full((1, 4), robot.hover_fraction * robot.max_speed)
    rows = physics.state.clone()
    rows[:, 13:] = speed
    put(physics, rows)
    for _ in range(300):
        physics.step(speed)
    assert physics.state[0, :3].abs().max() < 1e-3
    assert physics.state[0, 7:13].abs().max() < 1e-3


def test_published_hover_speed_and_thrust_to_weight() -> None:
    assert CRAZYFLIE.hover_fraction * 21702.0 == pytest.approx(14475.8, abs=0.1)
    assert CRAZYFLIE.max_thrust / (CRAZYFLIE.mass * GRAVITY) == pytest.approx(2.248, abs=1e-3)
    newer = PARAMETERS["crazyflie-2025"]
    assert newer.hover_fraction == pytest.approx(0.8061, abs=1e-4)
    assert newer.max_thrust / (newer.mass * GRAVITY) == pytest.approx(1.47, abs=5e-3)


def test_free_fall_with_rotors_standing() -> None:
    physics = RotorPhysics(1, CRAZYFLIE, 0.01)
    for _ in range(100):
        physics.step(torch.zeros(1, 4))
    assert float(physics.state[0, 2]) == pytest.approx(-0.5 * GRAVITY, rel=1e-4)
    assert float(physics.state[0, 9]) == pytest.approx(-GRAVITY, rel=1e-4)


@pytest.mark.parametrize(("name", "drop"), [("crazyflie", 0.20), ("crazyflie-2025", 0.056)])
def test_full_thrust_from_rest_drops_before_it_climbs(name: str, drop: float) -> None:
    robot = PARAMETERS[name]
    physics = RotorPhysics(1, robot, 0.01)
    for _ in range(30):
        physics.step(torch.full((1, 4), robot.max_speed))
    assert float(physics.state[0, 2]) == pytest.approx(-drop, abs=0.005)


def test_torque_free_rotation_conserves_energy_and_angular_momentum() -> None:
    physics = RotorPhysics(1, CRAZYFLIE, 0.002)
    rows = physics.state.clone()
    rows[:, 10:13] = torch.tensor([6.0, -4.0, 9.0])
    put(physics, rows)
    inertia = np.array(CRAZYFLIE.inertia)

    def invariants() -> tuple[float, rotor_reference.Array]:
        row = physics.state[0].double().numpy()
        spin = inertia * row[10:13]
        return 0.5 * float(row[10:13] @ spin), rotor_reference.rotation(row[3:7]) @ spin

    energy, momentum = invariants()
    for _ in range(2000):
        physics.step(torch.zeros(1, 4))
    energy_after, momentum_after = invariants()
    assert energy_after == pytest.approx(energy, rel=2e-4)
    np.testing.assert_allclose(momentum_after, momentum, atol=2e-3 * float(np.linalg.norm(momentum)))


@pytest.mark.parametrize("robot", ROBOTS)
def test_halving_the_step_divides_the_error_by_sixteen(robot: RotorParameters) -> None:
    """Order four, in the range where float32 rounding does not yet hide the truncation error."""
    state, command, wrench = random_states(64, robot)
    state[:, 10:13] *= 2.0
    exact = _integrate(state, command, robot, wrench, 0.2 / 200, 200)

    def error(steps: int) -> float:
        physics = RotorPhysics(64, robot, 0.2 / steps)
        put(physics, state)
        physics.wrench.copy_(wrench)
        for _ in range(steps):
            physics.step(command)
        # Orientation carries the order most visibly: it couples rates, torques and the lag.
        return float(np.abs(physics.state[:, 3:7].double().numpy() - exact[:, 3:7]).mean())

    assert 11.0 < error(6) / error(12) < 22.0


def _integrate(
    state: Tensor, command: Tensor, robot: RotorParameters, wrench: Tensor, dt: float, steps: int
) -> rotor_reference.Array:
    s, c, w = (given.double().numpy() for given in (state, command, wrench))
    for _ in range(steps):
        s = rotor_reference.rk4(s, c, robot, w, dt)
    return s


@pytest.mark.parametrize("robot", ROBOTS)
def test_agrees_with_the_float64_reference(robot: RotorParameters) -> None:
    state, command, wrench = random_states(32, robot, seed=3)
    physics = RotorPhysics(32, robot, 0.01)
    put(physics, state)
    physics.wrench.copy_(wrench)
    for _ in range(10):
        physics.step(command)
    expected = _integrate(state, command, robot, wrench, 0.01, 10)
    scale = np.array([1.0] * 13 + [robot.max_speed] * 4)
    np.testing.assert_allclose(physics.state.double().numpy() / scale, expected / scale, rtol=0, atol=5e-5)


@pytest.mark.parametrize("robot", ROBOTS)
def test_adjoint_agrees_with_finite_differences_of_the_reference(robot: RotorParameters) -> None:
    state, command, wrench = random_states(6, robot, seed=5)
    g = torch.Generator().manual_seed(1)
    weights = torch.randn(6, 17, generator=g) * torch.tensor([1.0] * 13 + [1e-3] * 4)
    physics = RotorPhysics(6, robot, 0.01)
    physics.wrench.copy_(wrench)
    state.requires_grad_()
    command.requires_grad_()
    (physics.advance(state, command) * weights).sum().backward()
    assert state.grad is not None and command.grad is not None
    for i in range(6):
        s, c = state[i].detach().double().numpy(), command[i].detach().double().numpy()
        w, k = wrench[i].double().numpy(), weights[i].double().numpy()

        def value(x: rotor_reference.Array, w: rotor_reference.Array = w, k: rotor_reference.Array = k) -> Any:
            return rotor_reference.rk4(x[..., :17], x[..., 17:], robot, w, 0.01) @ k

        x = np.concatenate((s, c))
        step = np.array([1e-5] * 13 + [1e-2] * 8)
        numeric = (value(x + np.diag(step)) - value(x - np.diag(step))) / (2.0 * step)
        analytic = np.concatenate((state.grad[i].double().numpy(), command.grad[i].double().numpy()))
        np.testing.assert_allclose(analytic, numeric, rtol=2e-3, atol=2e-5)


def test_gradient_flows_through_many_steps_and_stops_at_detach() -> None:
    physics = RotorPhysics(2, CRAZYFLIE, 0.01)
    command = torch.full((2, 4), 1500.0, requires_grad=True)
    for _ in range(20):
        physics.flow(command)
    physics.state[:, 2].sum().backward()
    assert command.grad is not None and bool((command.grad > 0.0).all())
    physics.detach()
    assert not physics.state.requires_grad


def test_stepping_in_place_equals_flowing() -> None:
    state, command, wrench = random_states(16, CRAZYFLIE, seed=9)
    results = []
    for differentiable in (False, True):
        physics = RotorPhysics(16, CRAZYFLIE, 0.01)
        put(physics, state)
        physics.wrench.copy_(wrench)
        for _ in range(5):
            (physics.flow if differentiable else physics.step)(command)
        physics.detach()
        results.append(physics.state.clone())
    assert torch.equal(*results)


def test_threads_do_not_change_results() -> None:
    state, command, wrench = random_states(4096, CRAZYFLIE, seed=2)
    results = []
    for threads in (1, 2, 3):
        physics = RotorPhysics(4096, CRAZYFLIE, 0.01, threads=threads, substeps=3)
        put(physics, state)
        physics.wrench.copy_(wrench)
        physics.step(command)
        results.append(physics.state.clone())
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_a_snapshot_continues_bit_for_bit() -> None:
    state, command, wrench = random_states(8, CRAZYFLIE, seed=4)
    physics = RotorPhysics(8, CRAZYFLIE, 0.01, substeps=7)
    put(physics, state)
    physics.wrench.copy_(wrench)
    saved = physics.snapshot()
    physics.step(command)
    first = physics.state.clone()
    physics.wrench.zero_()
    physics.restore(saved)
    physics.step(command)
    assert torch.equal(physics.state, first)


def test_rotors_spin_up_and_down_with_their_own_time_constants() -> None:
    robot = PARAMETERS["crazyflie-2025"]
    physics = RotorPhysics(2, robot, 0.005)
    rows = physics.state.clone()
    rows[1, 13:] = robot.max_speed
    put(physics, rows)
    for _ in range(20):
        physics.step(torch.tensor([[robot.max_speed] * 4, [0.0] * 4]))
    rise, fall = 1.0 - np.exp(-0.1 / robot.rise_time), np.exp(-0.1 / robot.fall_time)
    assert float(physics.state[0, 13]) == pytest.approx(rise * robot.max_speed, rel=1e-3)
    assert float(physics.state[1, 13]) == pytest.approx(fall * robot.max_speed, rel=1e-3)


def test_commands_beyond_the_range_act_as_its_ends() -> None:
    a, b = RotorPhysics(1, CRAZYFLIE, 0.01), RotorPhysics(1, CRAZYFLIE, 0.01)
    a.step(torch.tensor([[1e6, -50.0, 1e6, -50.0]]))
    b.step(torch.tensor([[CRAZYFLIE.max_speed, 0.0, CRAZYFLIE.max_speed, 0.0]]))
    assert torch.equal(a.state, b.state)


def test_bad_sizes_and_parameters_are_refused() -> None:
    with pytest.raises(UserError, match="num_worlds must be at least 1"):
        RotorPhysics(0, CRAZYFLIE, 0.01)
    with pytest.raises(UserError, match="dt must be above 0"):
        RotorPhysics(1, CRAZYFLIE, 0.0)
    with pytest.raises(ValueError, match="does not lift"):
        RotorParameters("brick", 1.0, (1e-5,) * 3, (0.0, 0.0, 0.1), 0.005, 0.1, 0.1, 2000.0)


def test_the_sensors_outlive_the_next_step() -> None:
    physics = RotorPhysics(2, CRAZYFLIE, 0.01)
    before = physics.sensors()
    physics.step(torch.full((2, 4), 2000.0))
    assert float(before["rotor_speed"].max()) == 0.0
    assert float(physics.sensors()["rotor_speed"].min()) > 0.0


def test_the_size_of_a_world_moves_its_rotors() -> None:
    """Worlds of one physics with two sizes fly as vehicles whose rotors stand there, gradients included."""
    state, command, wrench = random_states(8, CRAZYFLIE)
    sizes = torch.tensor([1.0, 2.5]).repeat(4)
    physics = RotorPhysics(8, CRAZYFLIE, 0.01)
    physics.parameters[:, 11] = sizes
    physics.wrench.copy_(wrench)
    start = state.clone().requires_grad_()
    after = physics.advance(start, command)
    (gradient,) = torch.autograd.grad(after.square().sum(), start)
    for size in (1.0, 2.5):
        arm = size * 0.028
        there = replace(CRAZYFLIE, rotor_x=(arm, -arm, -arm, arm), rotor_y=(-arm, -arm, arm, arm))
        other = RotorPhysics(8, there, 0.01)
        other.wrench.copy_(wrench)
        wanted = other.advance(start, command)
        (wanted_gradient,) = torch.autograd.grad(wanted.square().sum(), start)
        here = sizes == size
        torch.testing.assert_close(after[here], wanted[here], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(gradient[here], wanted_gradient[here], rtol=1e-4, atol=1e-3)


def test_a_snapshot_of_an_earlier_version_has_the_nominal_size() -> None:
    physics = RotorPhysics(3, CRAZYFLIE, 0.01)
    snapshot = physics.snapshot()
    physics.parameters[:, 11] = 2.0
    physics.restore({**snapshot, "parameters": snapshot["parameters"][:, :11]})
    assert torch.equal(physics.parameters, snapshot["parameters"])
