"""Any quadrotor: what is drawn, that mass and size belong together, and where its episodes start and end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.networks.memory import GruNetwork
from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.quadrotor.scenario import QuadrotorScenario
from sim.robots.crazyflie import PARAMETERS
from sim.robots.rotors import GRAVITY
from sim.tasks.crazyflie import MAX_SPEED
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER
from sim.tasks.quadrotor_any import NOMINAL, QUADROTOR_ANY

DISTANCE = PARAMETERS[NOMINAL].rotor_distance


def world_of(n: int, seed: int = 0, settings: dict[str, Any] | None = None, **how: Any) -> VectorEnvironment:
    environment = QUADROTOR_ANY.with_settings(settings or {}).make_environment(n, seed, **how)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, QuadrotorScenario)
    return environment


def drawn(n: int, seed: int = 0, settings: dict[str, Any] | None = None, **how: Any) -> Tensor:
    """The parameter rows [n, 12] of the first episodes."""
    _, truth = world_of(n, seed, settings, **how).reset()
    return truth["dynamics"]


def test_vehicles_lie_in_the_published_ranges_and_fill_them() -> None:
    rows = drawn(4000)
    mass, size, full = rows[:, 0], rows[:, 11], rows[:, 4:7].sum(-1)
    roll = 2**0.5 * full * DISTANCE * size / rows[:, 1]
    for values, low, high in (
        (mass, 0.02, 5.0),
        (4.0 * full / (mass * GRAVITY), 1.5, 5.0),
        (roll, 40.0, 1200.0),
        (rows[:, 7], 0.005, 0.05),
        (rows[:, 8], 0.03, 0.1),
        (rows[:, 9], 0.03, 0.3),
    ):
        assert low * 0.999 <= float(values.min()) <= low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) <= float(values.max()) <= high * 1.001
    # The size follows the cube root of the mass, with a deviation of about a tenth.
    deviation = torch.log(size) - torch.log(mass / PARAMETERS[NOMINAL].mass) / 3.0
    assert float(deviation.mean().abs()) < 0.01 and 0.08 < float(deviation.std()) < 0.12
    # Thrust curve and ratios of inertia keep the nominal shape.
    nominal = torch.tensor([*PARAMETERS[NOMINAL].inertia, *PARAMETERS[NOMINAL].thrust])
    torch.testing.assert_close(rows[:, 1:4] / rows[:, 1:2], (nominal[:3] / nominal[0]).expand(4000, -1))
    torch.testing.assert_close(rows[:, 4:7] / rows[:, 6:7], (nominal[3:] / nominal[5]).expand(4000, -1))


def test_training_sees_more_vehicles_that_turn_slowly() -> None:
    def slow(rows: Tensor) -> float:
        return float((2**0.5 * rows[:, 4:7].sum(-1) * DISTANCE * rows[:, 11] / rows[:, 1] < 330.0).float().mean())

    assert slow(drawn(2000)) == pytest.approx(0.25, abs=0.03)
    assert slow(drawn(2000, randomized=True)) == pytest.approx(0.5, abs=0.04)
    # A number is the same vehicle in training and evaluation.
    seventh = {"events": {"vehicle": {"only": 7}}}
    assert torch.equal(drawn(1, settings=seventh), drawn(1, settings=seventh, randomized=True))


def test_a_seed_decides_the_vehicles_and_a_number_is_one_vehicle() -> None:
    assert torch.equal(drawn(20, 5), drawn(20, 5)) and not torch.equal(drawn(20, 5), drawn(20, 6))
    seventh = {"events": {"vehicle": {"only": 7}}}
    rows = drawn(20, 5, seventh)
    assert torch.equal(rows, rows[:1].expand(20, -1)) and torch.equal(rows[:1], drawn(1, 6, seventh))
    assert not torch.equal(rows[:1], drawn(1, 5, {"events": {"vehicle": {"only": 8}}}))
    with pytest.raises(UserError, match=r"events\.vehicle\.only"):
        QUADROTOR_ANY.with_settings({"events": {"vehicle": {"only": -2}}})


def test_a_named_robot_is_flown_itself() -> None:
    rows = drawn(5, robot="crazyflie")
    assert torch.equal(rows[:, 0], torch.full((5,), PARAMETERS["crazyflie"].mass))
    assert torch.equal(rows[:, 11], torch.ones(5))


def test_starts_and_bounds_grow_with_the_vehicle() -> None:
    environment = world_of(3000, settings={"commands": {"figure": {"still": 1.0}}}, imperfections=0.0)
    sensors, truth = environment.reset()
    distance = truth["rotor_distance"]
    assert float(distance.min()) < 0.04 and float(distance.max()) > 0.2
    torch.testing.assert_close(distance, DISTANCE * truth["dynamics"][:, 11:12])
    reach = truth["position_error"].abs() / distance
    assert 9.9 < float(reach.max()) <= 10.001
    assert float((reach == 0.0).all(-1).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert torch.equal(sensors["target_position"], torch.zeros(3000, 3))
    for _ in range(60):
        before = environment.step(Commands({"rotor_speed": torch.zeros(3000, 4)}))
        beyond = (
            before.terminal_truth["position_error"].abs().amax(-1)
            > 20.0 * before.terminal_truth["rotor_distance"][:, 0]
        )
        assert torch.equal(before.terminated, beyond)
    assert bool(beyond.any()) and not bool(beyond.all())


def test_half_the_targets_of_training_rest_and_all_of_an_evaluation() -> None:
    _, truth = world_of(2000, randomized=True).reset()
    moving = truth["target_velocity"].norm(dim=-1) > 0.0
    assert float(moving.float().mean()) == pytest.approx(0.5, abs=0.05)
    _, truth = world_of(2000).reset()
    assert not bool(truth["target_velocity"].any())


def test_the_policy_sees_22_numbers_and_a_memory_of_16_makes_about_2000_parameters() -> None:
    assert QUADROTOR_ANY.observation_dim == 22
    graph = QUADROTOR_ANY.policy_graph(GruNetwork(22, 16, (), 4, squash=True))
    assert sum(p.numel() for p in graph.parameters()) == 1988


def test_the_controller_that_knows_the_vehicle_saves_most_of_them() -> None:
    environment = world_of(200, seed=3)
    teacher = QUADROTOR_ANY.teacher
    assert teacher is not None
    pilot = teacher("cpu")
    sensors, truth = environment.reset()
    lost = torch.zeros(200, dtype=torch.bool)
    state = pilot.initial_state(200)
    for _ in range(200):
        commands, state = pilot.step(sensors, truth, state)
        assert float(commands["rotor_speed"].max()) <= MAX_SPEED * 1.0001
        step = environment.step(commands)
        lost |= step.terminated
        sensors, truth = step.sensors, step.truth
    assert float(lost.float().mean()) < 0.1


def test_what_a_teacher_knows_is_finite_and_of_the_size_of_one() -> None:
    environment = world_of(2000)
    _, truth = environment.reset()
    traits = environment.critic_observation(truth)[:, -8:]
    assert bool(traits.isfinite().all()) and float(traits.abs().max()) < 6.0
    assert float(traits.std(0).min()) > 0.05
    assert QUADROTOR_ANY.critic_dim == CRAZYFLIE_HOVER.critic_dim + 8
