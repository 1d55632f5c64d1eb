"""Quadrotor tasks of named terms: the compiled rewards, settings of starts and figures, and terms of a user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from policies.errors import UserError
from policies.signals import Commands
from sim.environment import VectorEnvironment
from sim.quadrotor import kernels
from sim.quadrotor.rewards import FLIGHT_REWARDS
from sim.quadrotor.scenario import QuadrotorScenario
from sim.robots.crazyflie import PARAMETERS
from sim.task import Task
from sim.tasks.crazyflie import MAX_SPEED
from sim.tasks.crazyflie_hover import CRAZYFLIE_HOVER
from sim.tasks.crazyflie_track import CRAZYFLIE_TRACK
from sim.terms.compiled import CompiledRewards
from sim.terms.terms import Event, Reward
from sim.terms.view import View


def world_of(task: Task, n: int = 64, randomized: bool = False) -> tuple[VectorEnvironment, QuadrotorScenario]:
    environment = task.make_environment(n, 0, randomized=randomized)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, QuadrotorScenario)
    return environment, environment.scenario


def tossed(n: int, step: int) -> Commands:
    g = torch.Generator().manual_seed(step // 10)
    return Commands({"rotor_speed": torch.rand(n, 4, generator=g) * MAX_SPEED})


def test_the_compiled_rewards_are_the_terms_one_by_one() -> None:
    g = torch.Generator().manual_seed(0)
    names = {"position_error": 3, "orientation": 4, "linear_velocity_error": 3, "action": 4}
    tensors = {name: torch.randn(32, width, generator=g) for name, width in names.items()}
    ended = torch.arange(32) % 4 == 0
    tensors["position_error"][0] = torch.nan
    view = View({**tensors, "hover_action": torch.full((1, 1), 0.3), "terminated": ended}, 32, 0.01, "cpu")
    rewards = {name: replace(term, weight=1.0 + k) for k, (name, term) in enumerate(FLIGHT_REWARDS.items())}
    rewards["again"] = Reward(FLIGHT_REWARDS["position"].function, -3.0)
    fused = CompiledRewards(
        rewards, kernels.COUNTERPARTS, kernels.StepInputs, {"hover": 0.3}, 32, 0.01, "cpu", contiguous=False
    )
    assert fused.names == tuple(rewards)
    # Columns of a state, as the physics gives them.
    wide = {name: torch.cat((value, value), -1)[:, : value.shape[1]] for name, value in tensors.items()}
    total = fused({**wide, "failed": ended})
    expected = [term(view) * term.weight * 0.01 for term in rewards.values()]
    torch.testing.assert_close(fused.sums, torch.stack(expected, -1))
    with pytest.raises(ValueError, match=r"action"):
        fused({**wide, "action": wide["action"][:31], "failed": ended})
    torch.testing.assert_close(total, torch.stack(expected).sum(0))
    assert not bool(total[ended].any()) and bool(total.isfinite().all())


def test_the_reward_has_the_published_shape() -> None:
    environment, _ = world_of(CRAZYFLIE_HOVER)
    environment.reset()
    hover = 0.5 * MAX_SPEED
    step = environment.step(Commands({"rotor_speed": torch.full((64, 4), hover)}))
    truth = step.terminal_truth
    nominal = environment.scenario.view(truth, Commands({"rotor_speed": torch.zeros(64, 4)}))["hover_action"]  # type: ignore[attr-defined]
    cost = 20.0 * truth["position_error"].square().sum(-1) + 2.5 * (1.0 - truth["orientation"][:, 0].square())
    cost += 0.5 * truth["linear_velocity_error"].square().sum(-1) + 0.5 * 4.0 * nominal.square()[0]
    torch.testing.assert_close(step.reward, torch.where(step.terminated, 0.0, 2.0 - 0.5 * cost), rtol=1e-4, atol=1e-5)
    metrics = environment.metrics()
    assert sum(v for k, v in metrics.items() if k.startswith("reward/")) == pytest.approx(
        100.0 * float(step.reward.mean()), rel=1e-4
    )
    assert metrics["termination/astray"] == pytest.approx(100.0 * float(step.terminated.float().mean()))


def test_settings_change_starts_bounds_and_figures() -> None:
    task = CRAZYFLIE_HOVER.with_settings(
        {
            "events": {"start": {"at_target": 0.0, "position": 0.01}, "disturbance": {"force": 0.0}},
            "terminations": {"astray": {"bound": 0.3}},
        }
    )
    environment, _ = world_of(task)
    _, truth = environment.reset()
    assert 0.005 < float(truth["position_error"].abs().max()) <= 0.01
    assert not bool(truth["force"].any()) and bool(truth["torque"].any())
    furthest = 0.0
    for step in range(100):
        last = environment.step(tossed(64, step))
        inside = last.terminal_truth["position_error"][~last.terminated]
        furthest = max(furthest, float(inside.abs().max()))
    assert 0.2 < furthest <= 0.3
    with pytest.raises(UserError, match=r"commands.figure.interval must be low, then high, got \(3.0, 2.0\)"):
        CRAZYFLIE_TRACK.with_settings({"commands": {"figure": {"interval": (3.0, 2.0)}}})


def test_training_and_evaluation_fly_differently_and_only_training_follows_the_settings() -> None:
    wide = CRAZYFLIE_TRACK.with_settings({"commands": {"figure": {"scale": (2.0, 2.0)}}})
    reach = {}
    for randomized in (True, False):
        environment, _ = world_of(wide, 256, randomized)
        _, truth = environment.reset()
        reach[randomized] = float(truth["target_position"].abs().max())
        assert environment.episode_steps == (500 if randomized else 1700)
    # Training starts anywhere on a figure of twice the size, an evaluation at its centre.
    assert reach[True] > 1.5 and reach[False] < 1e-5


def test_a_users_own_terms_fly() -> None:
    def spin(view: View) -> Tensor:
        return view["angular_velocity"].square().sum(-1)

    def heavier(scenario: Any, ids: Tensor, generator: torch.Generator, *, factor: float = 2.0) -> None:
        scenario.starts.parameters[ids, 0] *= factor

    def gust(scenario: Any, ids: Tensor, generator: torch.Generator) -> None:
        scenario.push(ids, torch.tensor([0.0, 0.0, 5.0]))

    task = CRAZYFLIE_HOVER.changed(
        rewards={"spin": Reward(spin, -1.0)},
        events={"heavier": Event(heavier, "restart"), "gust": Event(gust, "interval", interval=(0.05, 0.1))},
    )
    environment, _ = world_of(task, randomized=True)
    _, truth = environment.reset()
    torch.testing.assert_close(truth["dynamics"][:, 0], torch.full((64,), 2.0 * PARAMETERS["crazyflie"].mass))
    rises = [environment.step(tossed(64, 0)).terminal_truth["linear_velocity"][:, 2] for _ in range(10)]
    assert float(torch.stack(rises).amax(0).median()) > 3.0
    assert environment.metrics()["reward/spin"] < 0.0
    with pytest.raises(UserError, match="interval events have no gradients"):
        environment.flow(tossed(64, 0))
    saved = environment.snapshot()
    first = [environment.step(tossed(64, step)) for step in range(20)][-1]
    environment.restore(saved)
    again = [environment.step(tossed(64, step)) for step in range(20)][-1]
    assert torch.equal(first.reward, again.reward)
