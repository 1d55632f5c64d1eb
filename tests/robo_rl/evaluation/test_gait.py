"""The gait under fixed commands: what is computed from made-up walks, and a robot that stands and one that trots."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from policies.errors import UserError
from policies.signals import Truth
from robo_rl.evaluation.gait import COMMANDS, DAMPED, DAMPING, Gait, _damp, _gait, _Tally, evaluate_gait
from robo_rl.evaluation.registry import evaluate_policy, evaluation_tables
from robo_rl.evaluation.walking import evaluate_walker
from sim.environment import VectorEnvironment
from sim.legged.scenario import LeggedScenario
from sim.robots.go1 import FOOT_RADIUS
from sim.tasks import find_task
from tests.robo_rl.open_loop_trot import trot

TASK = "go1-velocity-flat"
ASKED = torch.tensor((*COMMANDS, *DAMPED), dtype=torch.float64).repeat_interleave(2, 0)


def made_up(fell: tuple[int, ...] = (), **changes: Tensor) -> Gait:
    """Two robots with each command that do as commanded, weigh 100 N and need 50 W."""
    n = len(ASKED)
    means = {
        "forward": ASKED[:, 0], "left": ASKED[:, 1], "yaw_rate": ASKED[:, 2],
        "height": torch.full((n,), 0.27, dtype=torch.float64), "power": torch.full((n,), 50.0, dtype=torch.float64),
        "swings": torch.full((n,), 4.0, dtype=torch.float64), "peaks": torch.full((n,), 0.2, dtype=torch.float64),
        **changes,
    }  # fmt: skip
    upright = torch.ones(n, dtype=torch.bool)
    upright[list(fell)] = False
    return _gait(ASKED, upright, means, 100.0, 2)


def test_a_robot_that_follows_its_commands_has_gains_of_one_and_no_drift() -> None:
    gait = made_up()
    assert gait.figures() == pytest.approx(
        {
            "base_height": 0.27, "cost_of_transport": 0.5, "foot_clearance": 0.05, "yaw_gain_on_the_spot": 1.0,
            "yaw_gain_walking": 1.0, "sideways_yaw_drift": 0.0, "damped_speed_share": 1.0, "yaw_gain": 1.0,
        }
    )  # fmt: skip
    assert gait.fall_rate == 0.0
    assert [row.command for row in gait.responses if row.damped] == [(0.5, 0.0, 0.0), (1.0, 0.0, 0.0)]


def test_gain_drift_and_damped_speed_are_those_of_the_worse_case() -> None:
    walking = (ASKED[:, 0] == 0.5) & (ASKED[:, 2] != 0.0)
    sideways = ASKED[:, 1] != 0.0
    turned = ASKED[:, 2] * torch.where(walking, 1.3, 0.9) - 0.05
    turned[sideways] = torch.tensor([0.02, 0.04, -0.1, -0.3], dtype=torch.float64)
    forward = ASKED[:, 0].clone()
    forward[-4:] *= torch.tensor([0.9, 0.7, 0.8, 1.0])
    gait = made_up(yaw_rate=turned, forward=forward)
    assert gait.yaw_gain_on_the_spot == pytest.approx(0.9), "an offset is no part of the slope"
    assert gait.yaw_gain_walking == gait.yaw_gain == pytest.approx(1.3)
    assert gait.sideways_yaw_drift == pytest.approx(0.2)
    assert gait.damped_speed_share == pytest.approx(0.8)


def test_robots_that_fall_are_left_out_but_count_as_standing_still_under_damping() -> None:
    n = len(ASKED)
    gait = made_up((0, n - 1), power=torch.tensor([math.nan, *[50.0] * (n - 1)], dtype=torch.float64))
    assert gait.cost_of_transport == pytest.approx(0.5)
    assert gait.damped_speed_share == pytest.approx(0.5)
    assert gait.fall_rate == pytest.approx(1.0 / (2 * len(COMMANDS)))
    none = made_up((2, 3))
    assert math.isnan(none.yaw_gain) and none.summary()["yaw_gain"] is None
    assert none.yaw_gain_walking == pytest.approx(1.0)


def test_a_robot_that_goes_backwards_has_no_cost_of_transport() -> None:
    assert math.isnan(made_up(forward=-ASKED[:, 0]).cost_of_transport)


def truth(contact: bool, height: float) -> Truth:
    """One foot at a height in m of its centre; 3 Nm at -2 rad/s."""
    values = {
        "linear_velocity": [[1.0, 0.0, 0.0]], "angular_velocity": [[0.0, 0.0, 0.5]], "base_height": [[0.3]],
        "joint_torque": [[3.0, 1.0]], "joint_velocity": [[-2.0, 1.0]], "foot_contact": [[float(contact)]],
        "foot_height": [[height]],
    }  # fmt: skip
    return Truth({name: torch.tensor(value) for name, value in values.items()})


def test_a_swing_counts_with_its_highest_place_once_its_foot_lands() -> None:
    tally, alive = _Tally(0.02, 0.023), torch.tensor([True])
    air = [0.03, 0.08, 0.05]
    # In the air already, a bounce of two steps, one whole swing, and one that has not landed.
    for contact, height in (
        (False, 0.5), (True, 0.023), (False, 0.3), (False, 0.3), (True, 0.023), *((False, h) for h in air),
        (True, 0.023), (False, 0.2), (False, 0.2), (False, 0.2),
    ):  # fmt: skip
        tally.add(truth(contact, height), alive)
    means = tally.means()
    assert means["swings"].tolist() == [1.0]
    assert means["peaks"].tolist() == pytest.approx([0.08 - 0.023])
    assert means["power"].tolist() == pytest.approx([7.0]), "power that a joint gives back counts as spent"


def legged(worlds: int) -> tuple[VectorEnvironment, LeggedScenario]:
    environment = find_task(TASK).make_environment(worlds, 0)
    assert isinstance(environment, VectorEnvironment) and isinstance(environment.scenario, LeggedScenario)
    return environment, environment.scenario


def test_only_the_damped_robots_have_more_damping_and_keep_it_over_a_restart() -> None:
    environment, scenario = legged(3)
    _damp(scenario, torch.tensor([False, True, False]))
    environment.reset()
    fields = scenario.physics.fields
    assert fields is not None
    added = fields.expand("dof_damping") - fields.nominal("dof_damping")
    assert added[[0, 2]].abs().max() == 0.0
    assert added[1].tolist() == pytest.approx([0.0] * 6 + [DAMPING] * 12)


def test_the_lower_side_of_a_round_foot_is_its_radius_below_its_centre() -> None:
    environment, scenario = legged(1)
    _, first = environment.reset()
    assert float(scenario.view(first)["foot_rest_height"]) == pytest.approx(FOOT_RADIUS, abs=1e-4)


def standing() -> Any:
    task = find_task(TASK)
    network = nn.Linear(task.observation_dim, task.action.dim)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return task.policy_graph(network)


def test_a_robot_that_stands_neither_turns_nor_goes() -> None:
    gait = evaluate_gait(standing(), find_task(TASK), robots=1)
    assert gait.base_height == pytest.approx(0.265, abs=0.02)
    assert abs(gait.yaw_gain) < 0.02 and gait.sideways_yaw_drift < 0.02
    assert abs(gait.damped_speed_share) < 0.02 and gait.fall_rate == 0.0
    assert math.isnan(gait.foot_clearance), "no foot has swung"


def test_a_trot_lifts_its_feet_and_more_damping_slows_it_and_it_is_the_same_each_time() -> None:
    task, graph = find_task(TASK), trot()
    gait, again = (evaluate_gait(graph, task, robots=1) for _ in range(2))
    assert gait == again
    assert 0.005 < gait.foot_clearance < 0.12
    assert 0.3 < gait.cost_of_transport < 10.0
    plain = next(row for row in gait.responses if row.command == (1.0, 0.0, 0.0) and not row.damped)
    slowed = next(row for row in gait.responses if row.command == (1.0, 0.0, 0.0) and row.damped)
    assert slowed.velocity[0] < 0.8 * plain.velocity[0]


def test_an_evaluation_of_a_task_on_flat_ground_includes_the_gait_and_others_are_refused() -> None:
    task = find_task(TASK).changed(episode_steps=20)
    result = evaluate_walker(standing(), task, 2)
    assert result.figures()["base_height"] == pytest.approx(0.265, abs=0.02)
    summary = evaluate_policy(standing(), task, 2).summary()
    assert summary["gait"]["responses"][0]["command"] == [1.0, 0.0, 0.0]
    shown = {row[0]: row[1] for row in evaluation_tables(summary)[1].rows}
    assert shown["foot clearance at 1 m/s"] == "none"
    assert shown["yaw gain on the spot"].startswith(("0.0", "-0.0"))
    with pytest.raises(UserError, match="walked on flat ground, which go1-velocity-rough is not made of"):
        evaluate_gait(standing(), find_task("go1-velocity-rough"))
