"""Errors of the yaw rate: at each instant, averaged over a stride, and the swing within one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from robo_rl.evaluation.rows import walking_tables
from robo_rl.evaluation.walking import evaluate_walking
from robo_rl.evaluation.yaw import Stride, YawTally, stride_of
from sim.tasks import find_task
from tests.robo_rl.evaluation.test_locomotion import Follow, cart_task

STRIDE = Stride(20, 0.02, True)


def swaying(error: float, amplitude: float, steps: int = 200, command: float = 0.4) -> dict[str, float]:
    """The figures of a robot that sways at stride frequency about a yaw rate of `command` + `error`."""
    tally = YawTally(1, STRIDE)
    for t in range(steps):
        rate = command + error + amplitude * math.sin(2.0 * math.pi * t / STRIDE.steps)
        tally.add(torch.tensor([rate]), torch.tensor([command]), torch.tensor([True]))
    return {name: float(value) for name, value in tally.measures().items()}


@pytest.mark.parametrize("error", [-0.1, 0.0, 0.25])
def test_a_sway_at_stride_frequency_is_in_the_swing_and_not_in_the_mean_over_a_stride(error: float) -> None:
    found = swaying(error, 0.9)
    assert found["stride_mean"] == pytest.approx(abs(error), abs=1e-6)
    assert found["swing"] == pytest.approx(0.9 / math.sqrt(2.0), rel=1e-5)
    assert found["standing"] == pytest.approx(0.4)
    assert found["instant"] > 0.5
    steady = swaying(error, 0.0)
    assert steady["instant"] == pytest.approx(steady["stride_mean"], abs=1e-6) and steady["swing"] < 1e-6


def test_the_instant_is_never_below_the_mean_over_a_stride_and_a_shift_of_time_changes_neither() -> None:
    rates, commands = torch.randn(2, 60, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    alive = torch.ones(3, dtype=torch.bool)
    one, late = YawTally(3, Stride(60, 0.02, True)), YawTally(3, Stride(60, 0.02, True))
    for t in range(60):
        one.add(rates[t], commands[t], alive)
        late.add(rates[t - 7], commands[t - 7], alive)
    first, second = one.measures(), late.measures()
    assert bool((first["instant"] >= first["stride_mean"]).all())
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)


def test_what_follows_a_fall_does_not_count_and_less_than_a_stride_has_no_mean() -> None:
    tally = YawTally(3, STRIDE)
    for t in range(50):
        alive = torch.tensor([True, t < 30, t < 5])
        rate = torch.where(alive, torch.tensor([0.5, 0.3, 0.1]), math.nan)
        tally.add(rate, torch.zeros(3), alive)
    found = tally.measures()
    assert found["instant"].tolist() == pytest.approx([0.5, 0.3, 0.1])
    assert found["stride_mean"][:2].tolist() == pytest.approx([0.5, 0.3])
    assert math.isnan(found["stride_mean"][2]) and math.isnan(found["swing"][2])
    errors = tally.errors(seed=1)
    assert errors.stride_mean.value == pytest.approx(0.4) and errors.instant.value == pytest.approx(0.3)


def test_the_stride_is_that_of_the_gait_clock_where_the_task_has_one() -> None:
    task = find_task("go1-velocity-flat")
    faster = task.with_settings({"observation": {"gait_clock": {"frequency": 3.125}}})
    assert (stride_of(faster).steps, stride_of(faster).clocked) == (16, True)
    blind = task.changed(observation={"gait_clock": None})
    assert (stride_of(blind).steps, stride_of(blind).clocked) == (20, False)
    h1 = stride_of(find_task("h1-velocity-flat"))
    assert (h1.steps, h1.clocked) == (40, True) and h1.seconds == pytest.approx(0.8)
    cart = stride_of(cart_task())
    assert (cart.steps, cart.clocked) == (20, False) and cart.seconds == pytest.approx(0.4)


def test_an_evaluation_shows_the_yaw_errors_side_by_side() -> None:
    task = cart_task()
    result = evaluate_walking(task.policy_graph(Follow(share=0.5)), task, 400, imperfections=0.0)
    # Commands change their sign at step 12, and the windows of 20 steps hold the change.
    assert result.yaw.stride_mean.value < result.yaw.instant.value
    assert result.yaw.instant.value == pytest.approx(0.5 * result.yaw.standing.value, rel=1e-5)
    assert result.figures()["yaw_swing"] == result.yaw.swing.value > 0.0
    summary = result.summary()
    assert summary["stride_from"] == "default"
    shown = {row[0].strip() for row in walking_tables(summary)[0].rows}
    assert {
        "|yaw rate - command|", "averaged over a stride of 0.40 s, as the task has no gait clock",
        "of a robot that stands", "swing of the yaw rate within a stride",
    } <= shown  # fmt: skip
    clocked = replace(result, yaw=replace(result.yaw, stride=STRIDE)).summary()
    assert "  averaged over a stride of 0.40 s" in [row[0] for row in walking_tables(clocked)[0].rows]


def test_an_evaluation_of_before_the_stride_was_measured_is_still_shown() -> None:
    interval = {"value": 0.1, "low": 0.0, "high": 0.2}
    names = ("velocity_error_m_s", "yaw_rate_error_rad_s", "fall_rate", "episode_return")
    (measures,) = walking_tables(dict.fromkeys(names, interval))
    assert len(measures.rows) == 4
