from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deploy.bundle.reader import load_bundle
from deploy.export.exporter import export_bundle
from policies.errors import UserError
from policies.networks.mlp import MLP
from policies.signals import Commands, Truth
from policies.specs import SensorSpec
from robo_rl.evaluation.flying import bootstrap_mean, evaluate, wilson
from robo_rl.workflows.export import visit
from sim.task import Step
from sim.tasks import find_task
from tests.robo_rl.tiny_environment import EPISODE_STEPS, PointEnvironment, point_task


class PushHome(nn.Module):
    """The known optimum: -x / 0.2; the observation's first channel is the position."""

    def forward(self, observation: Tensor) -> Tensor:
        return -5.0 * observation[:, :1]


class Stay(nn.Module):
    def forward(self, observation: Tensor) -> Tensor:
        return 0.0 * observation[:, :1]


class Away(nn.Module):
    """Push outwards: from beyond 0.5 m a point leaves within its 20 steps, and so do all others."""

    def forward(self, observation: Tensor) -> Tensor:
        return torch.sign(observation[:, :1])


def test_the_optimum_succeeds_everywhere() -> None:
    task = point_task()
    result = evaluate(task.policy_graph(PushHome()), task, 300)
    assert result.success is not None
    assert result.distance is not None
    assert result.success.value == 1.0
    assert result.success.low > 0.98
    assert result.distance.value < 0.02


def test_doing_nothing_scores_where_the_starts_are() -> None:
    # Starts are uniform in +-1 m, so a tenth of them lies within 0.1 m, the mean distance is 0.5 m, the RMSE as well.
    task = point_task()
    result = evaluate(task.policy_graph(Stay()), task, 4000)
    assert result.success is not None
    assert result.distance is not None
    assert result.distance_percentiles is not None
    assert result.rmse is not None
    assert result.survival.value == 1.0
    assert result.success.low < 0.1 < result.success.high
    assert result.distance.low < 0.5 < result.distance.high
    assert result.rmse.value == pytest.approx(result.distance.value, rel=1e-5)
    assert result.distance_percentiles["p90"] == pytest.approx(0.9, abs=0.03)


def test_a_crash_fails_even_though_its_world_starts_anew() -> None:
    task = point_task()
    result = evaluate(task.policy_graph(Away()), task, 100)
    assert result.success is not None
    assert result.survival.value == result.success.value == 0.0
    assert np.isnan(result.distances).all()
    summary = result.summary()
    assert summary["distance_m"]["value"] is None
    assert summary["success_at_0.1"]["high"] < 0.05


class NoPositionError(PointEnvironment):
    """A world whose truth has no position error."""

    def _truth(self) -> Truth:
        return Truth({"position": self._x.clone()})


def test_a_task_without_a_position_error_is_scored_by_survival_and_return() -> None:
    task = point_task(NoPositionError)
    result = evaluate(task.policy_graph(PushHome()), task, 50)
    assert result.survival.value == 1.0
    assert result.success is None
    assert "distance_m" not in result.summary()
    # The first push leaves an error of the noise alone, so nearly all of the 20 steps pay 1.
    assert 18.0 < result.episode_return.value <= EPISODE_STEPS


def test_the_same_starts_every_time_and_others_with_another_seed() -> None:
    task = point_task()
    graph = task.policy_graph(Stay())
    first, again, other = (evaluate(graph, task, 50, seed) for seed in (11, 11, 12))
    assert np.array_equal(first.distances, again.distances)
    assert not np.array_equal(first.distances, other.distances)


def test_a_bundle_is_evaluated_like_its_graph(tmp_path: Path) -> None:
    task = point_task()
    graph = task.policy_graph(PushHome())
    export_bundle(
        graph, visit(graph, task), tmp_path / "bundle", name="point", task="point",
        kind=task.kind, safety=task.safety, provenance={}, evaluation={},
    )  # fmt: skip
    bundle = load_bundle(tmp_path / "bundle")
    ours, theirs = evaluate(graph, task, 64), evaluate(bundle, task, 64)
    assert np.allclose(ours.distances, theirs.distances, atol=1e-5)

    class Two(PointEnvironment):
        def step(self, commands: Commands) -> Step:
            raise AssertionError("a bundle for other sensors must not fly")

    wrong = replace(point_task(Two), name="plane", sensors=(SensorSpec("position", 2, "m", "world", -1.0, 1.0),))
    with pytest.raises(UserError, match=r"made for point, needs position\[1\] m, which plane lacks; fly it"):
        evaluate(bundle, wrong, 4)


def test_a_policy_whose_sensor_means_something_else_in_the_task_is_refused() -> None:
    hover, track = find_task("crazyflie-hover"), find_task("crazyflie-track")
    graph = hover.policy_graph(MLP(hover.observation_dim, (4,), 4))
    with pytest.raises(UserError, match=r"needs position\[3\] m relative to the target, which crazyflie-track lacks"):
        evaluate(graph, track, 4)


@settings(max_examples=60, deadline=None)
@given(trials=st.integers(1, 2000), share=st.floats(0.0, 1.0))
def test_wilson_holds_the_share_and_stays_inside(trials: int, share: float) -> None:
    interval = wilson(round(share * trials), trials)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0
    assert interval.high - interval.low > 0.0


def test_wilson_equals_published_values() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 15 of 148.
    for successes, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        interval = wilson(successes, trials)
        assert interval.low == pytest.approx(low, abs=5e-5)
        assert interval.high == pytest.approx(high, abs=5e-5)


def test_the_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        interval = bootstrap_mean(generator.normal(3.0, 1.0, 60), trial)
        hits += interval.low <= 3.0 <= interval.high
    assert 180 <= hits <= 199


def test_no_values_have_no_mean() -> None:
    assert math.isnan(bootstrap_mean(np.array([]), 0).value)


def test_no_episodes_are_refused() -> None:
    task = point_task()
    with pytest.raises(UserError, match="episodes must be at least 1, got 0"):
        evaluate(task.policy_graph(Stay()), task, 0)
