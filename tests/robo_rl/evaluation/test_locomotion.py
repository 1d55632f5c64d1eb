"""Walking is judged by how well commands are followed and by falls, each world's first episode alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deploy.bundle.reader import load_bundle
from deploy.export.exporter import export_bundle
from policies.errors import UserError
from policies.signals import Commands, Sensors, Truth
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import Reading
from robo_rl.evaluation import walking as locomotion
from robo_rl.evaluation.flying import evaluate
from robo_rl.evaluation.registry import evaluate_policy, evaluation_tables
from robo_rl.evaluation.walking import evaluate_walking
from robo_rl.workflows.export import visit
from sim.task import Environment, Step, Task, Variation
from sim.terms.terms import Privileged, Signal
from tests.robo_rl.tiny_environment import point_task

STEPS = 25


class Cart:
    """N carts that move exactly as commanded, [forward, left, yaw rate]; every cart faster than 1.2 m/s falls.

    Every fifth world stands on "stairs" of level 1, the others on "flat". Commands change after 12 steps.
    """

    def __init__(self, num_worlds: int, seed: int, imperfections: float = 1.0) -> None:
        self.num_worlds, self.device = num_worlds, "cpu"
        self.finished = False
        self._generator = torch.Generator().manual_seed(seed)
        self._noise = 0.1 * imperfections
        self._age = torch.zeros(num_worlds, dtype=torch.int64)
        self._command = torch.zeros(num_worlds, 3)
        self._velocity = torch.zeros(num_worlds, 3)

    def finish_curriculum(self) -> None:
        self.finished = True

    def terrain_places(self) -> tuple[Sequence[str], Tensor, Tensor]:
        stairs = (torch.arange(self.num_worlds) % 5 == 0).long()
        return ("flat", "stairs"), stairs, stairs

    def reset(self) -> tuple[Sensors, Truth]:
        assert self.finished, "an evaluation asks for the whole range of commands"
        self._restart(torch.ones(self.num_worlds, dtype=torch.bool))
        return self._sensors(), self._truth()

    def step(self, commands: Commands) -> Step:
        push = self._noise * torch.randn(self.num_worlds, 3, generator=self._generator)
        self._velocity = commands["velocity"] + push
        self._age += 1
        terminated = self._velocity[:, 0].abs() > 1.2
        truncated = (self._age >= STEPS) & ~terminated
        sensors, truth = self._sensors(), self._truth()
        self._command[self._age == 12] = -self._command[self._age == 12]
        self._restart(terminated | truncated)
        reward = torch.ones(self.num_worlds)
        return Step(self._sensors(), self._truth(), reward, terminated, truncated, sensors, truth)

    def critic_observation(self, truth: Truth) -> Tensor:
        return truth["velocity_command"]

    def snapshot(self) -> dict[str, Tensor]:
        moving = {"age": self._age, "command": self._command, "velocity": self._velocity}
        return {**{k: v.clone() for k, v in moving.items()}, "random": self._generator.get_state()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        self._age, self._command, self._velocity = (snapshot[k].clone() for k in ("age", "command", "velocity"))
        self._generator.set_state(snapshot["random"])

    def _restart(self, mask: Tensor) -> None:
        fresh = torch.rand(self.num_worlds, 3, generator=self._generator) * 2.0 - 1.0
        self._command = torch.where(mask[:, None], fresh, self._command)
        self._age = torch.where(mask, 0, self._age)

    def _sensors(self) -> Sensors:
        return Sensors({"velocity_command": self._command.clone()})

    def _truth(self) -> Truth:
        velocity = torch.nn.functional.pad(self._velocity[:, :2], (0, 1))
        angular = torch.nn.functional.pad(self._velocity[:, 2:], (2, 0))
        return Truth(
            {
                "velocity_command": self._command.clone(),
                "linear_velocity": velocity,
                "angular_velocity": angular,
            }
        )


def cart_task(finished: bool = False) -> Task:
    """The task of moving as commanded; `finished` worlds need not be asked for their whole difficulty."""

    def world(task: Task, num_worlds: int, seed: int, device: str, variation: Variation, /) -> Environment:
        cart = Cart(num_worlds, seed, variation.imperfections)
        cart.finished = finished
        assert variation.randomized or finished
        return cart

    return Task(
        name="cart",
        summary="follow the commanded velocity",
        kind="cart",
        sensors=(SensorSpec("velocity_command", 3, "1", "body", -2.0, 2.0),),
        commands=(CommandSpec("velocity", 3, "1", -2.0, 2.0, 100.0, ("x", "y", "yaw")),),
        observation={"velocity_command": Reading("velocity_command", 3)},
        action=ScaledCommand("velocity", 3, 2.0),
        period=0.02,
        episode_steps=STEPS,
        privileged={"velocity_command": Privileged(Signal("velocity_command"), 3)},
        safety=SafetyEnvelope(max_tilt=1.0, max_input_age=0.1, max_command_age=0.1),
        world=world,
        evaluation="walking",
        evaluate_randomized=True,
    )


class Follow(nn.Module):
    """Command `share` of what is asked for, plus an offset in m/s to the left; the action's scale is 2."""

    def __init__(self, share: float = 1.0, left: float = 0.0) -> None:
        super().__init__()
        self.share = share
        self.offset = nn.Parameter(torch.tensor([0.0, left, 0.0]), requires_grad=False)

    def forward(self, observation: Tensor) -> Tensor:
        return 0.5 * (self.share * observation + self.offset)


def test_in_the_nominal_world_the_error_is_what_the_policy_leaves() -> None:
    task = cart_task()
    result = evaluate_walking(task.policy_graph(Follow(left=0.3)), task, 200, imperfections=0.0)
    assert result.fall_rate.value == 0.0
    assert result.velocity_error.value == pytest.approx(0.3, rel=1e-5)
    assert result.yaw.instant.value == pytest.approx(0.0, abs=1e-6)
    assert result.episode_return.value == STEPS


def test_errors_have_the_size_of_a_command_that_nobody_follows() -> None:
    task = cart_task()
    result = evaluate_walking(task.policy_graph(Follow(share=0.0)), task, 4000, imperfections=0.0)
    # The mean distance of a point in the square +-1 from its centre, and of one in +-1 from 0.
    mean_distance = (math.sqrt(2.0) + math.asinh(1.0)) / 3.0
    assert result.velocity_error.low < mean_distance < result.velocity_error.high
    assert result.yaw.instant.low < 0.5 < result.yaw.instant.high
    assert result.yaw.instant == result.yaw.standing, "a robot that stands"


def test_a_fall_counts_once_and_what_follows_it_does_not() -> None:
    task = cart_task()
    # Four times what is asked for: worlds asked for more than 0.3 m/s forward fall in their first step.
    result = evaluate_walking(task.policy_graph(Follow(share=4.0)), task, 2000, imperfections=0.0)
    assert result.fall_rate.low < 0.7 < result.fall_rate.high
    assert result.fell.mean() == result.fall_rate.value
    # A world that fell at once lived one step, with an error of three times its command.
    assert (result.velocity_errors[result.fell] >= 0.9 - 1e-6).all()
    assert result.episode_return.value == pytest.approx(0.7 + 0.3 * STEPS, rel=0.1)


def test_stress_is_harder_than_the_task_and_that_than_the_nominal_world() -> None:
    task = cart_task()
    graph = task.policy_graph(Follow())
    errors = [evaluate_walking(graph, task, 300, imperfections=i).velocity_error.value for i in (0.0, 1.0, 1.5)]
    assert errors[0] == pytest.approx(0.0, abs=1e-6)
    assert errors[2] == pytest.approx(1.5 * errors[1], rel=0.1)


def test_success_is_counted_for_each_kind_and_level_of_terrain() -> None:
    task = cart_task()
    slow = evaluate_walking(task.policy_graph(Follow(share=0.5)), task, 100, imperfections=0.0)
    fast = evaluate_walking(task.policy_graph(Follow(share=0.9)), task, 100, imperfections=0.0)
    assert [(score.kind, score.level, score.worlds) for score in slow.terrain] == [("flat", 0, 80), ("stairs", 1, 20)]
    assert [score.success.value for score in slow.terrain] == [0.0, 0.0], "half of the way is no success"
    assert [score.success.value for score in fast.terrain] == [1.0, 1.0]
    assert fast.summary()["terrain"][1]["success"]["value"] == 1.0


def test_the_same_worlds_every_time_and_others_with_another_seed() -> None:
    task = cart_task()
    graph = task.policy_graph(Follow())
    first, again, other = (evaluate_walking(graph, task, 50, seed) for seed in (11, 11, 12))
    assert np.array_equal(first.velocity_errors, again.velocity_errors)
    assert not np.array_equal(first.velocity_errors, other.velocity_errors)


def test_a_bundle_is_judged_like_its_graph(tmp_path: Path) -> None:
    task = cart_task()
    graph = task.policy_graph(Follow(left=0.2))
    export_bundle(
        graph, visit(graph, cart_task(finished=True)), tmp_path / "bundle", name="cart", task="cart",
        kind=task.kind, safety=task.safety, provenance={}, evaluation={},
    )  # fmt: skip
    ours = evaluate_walking(graph, task, 64)
    theirs = evaluate_walking(load_bundle(tmp_path / "bundle"), task, 64)
    assert np.allclose(ours.velocity_errors, theirs.velocity_errors, atol=1e-5)


def test_each_task_is_evaluated_as_it_says() -> None:
    cart, point = cart_task(), point_task()
    walked = evaluate_policy(cart.policy_graph(Follow()), cart, 4)
    assert isinstance(walked, locomotion.WalkingEvaluation)
    point_graph = point.policy_graph(nn.Linear(point.observation_dim, 1))
    flown = evaluate_policy(point_graph, point, 4)
    assert flown.summary() == evaluate(point_graph, point, 4).summary()
    measures, terrain = evaluation_tables(walked.summary())
    assert [row[0] for row in measures.rows][:2] == ["|v_xy - command|", "|yaw rate - command|"]
    assert [row[:3] for row in terrain.rows] == [("flat", "0", "3"), ("stairs", "1", "1")]
    (measures,) = evaluation_tables(flown.summary())
    assert measures.rows[0][0] == "survival"
    with pytest.raises(UserError, match="evaluated by 'swimming', which does not exist; choose one of flying, "):
        evaluate_policy(point_graph, replace(point, evaluation="swimming"), 4)
    with pytest.raises(UserError, match="point is not a walking task: it has no sensor velocity_command"):
        evaluate_walking(point_graph, point, 4)
    with pytest.raises(UserError, match="episodes must be at least 1, got 0"):
        evaluate_walking(cart.policy_graph(Follow()), cart, 0)
