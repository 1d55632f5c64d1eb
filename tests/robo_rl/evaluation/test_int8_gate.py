"""The gate of kernel int8: a policy that flies alike passes, ruined weights and trials that can't be are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sim.tasks
from deploy.bundle.reader import load_bundle
from deploy.codegen.generate import README, SOURCE, generate
from deploy.codegen.kernels import int8
from deploy.export.exporter import export_bundle
from deploy.mcu import batch
from policies.errors import UserError
from policies.signals import Commands
from robo_rl.cli import codegen, firmware
from robo_rl.evaluation import int8_gate
from robo_rl.evaluation.c_pilot import CPilot
from robo_rl.evaluation.flying import Calls, Evaluation, Interval, evaluate, wilson
from robo_rl.evaluation.walking import WalkingEvaluation
from robo_rl.evaluation.yaw import Stride, YawErrors
from robo_rl.workflows.export import visit
from sim.task import Step, Task, Variation
from tests.mcu_tools import needs_gcc
from tests.robo_rl.tiny_environment import EPISODE_STEPS, PointEnvironment, point_task

WIDTH = 256
"""Times three inputs, this is a matrix large enough for kernel int8 to round it."""


class PushHome(nn.Module):
    """About -5 x, the optimum, through a layer of which no weight is a round number."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.rand(WIDTH, 3, generator=torch.Generator().manual_seed(1)) + 0.1
        self.inward = nn.Linear(3, WIDTH)
        self.outward = nn.Linear(WIDTH, 1)
        with torch.no_grad():
            self.inward.weight.copy_(weight)
            self.inward.bias.zero_()
            # Pairs of units read opposite signs of the past pushes, so that these hardly count.
            self.inward.weight[::2, 1:] *= -1.0
            self.outward.weight.copy_(-5.0 / weight[:, :1].sum() * torch.ones(1, WIDTH))
            self.outward.bias.zero_()

    def forward(self, observation: Tensor) -> Tensor:
        result: Tensor = self.outward(self.inward(observation))
        return result


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    task, folder = point_task(), tmp_path_factory.mktemp("point") / "bundle"
    graph = task.policy_graph(PushHome())
    export_bundle(
        graph, visit(graph, task), folder, name="point", task="point",
        kind=task.kind, safety=task.safety, provenance={}, evaluation={},
    )  # fmt: skip
    return folder


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Task:
    """The point's task, known by its name."""
    task = point_task()
    monkeypatch.setitem(sim.tasks.TASKS, task.name, task)
    return task


@pytest.fixture
def ruined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantised weights of the wrong sign."""
    right = int8.quantise

    def wrong(weight: Any) -> Any:
        integers, scale = right(weight)
        return integers, -scale

    monkeypatch.setattr(int8, "quantise", wrong)


def run(*arguments: str | Path) -> int:
    return codegen.run([str(argument) for argument in arguments])


@needs_gcc
def test_int8_that_flies_alike_is_written_with_both_figures(
    bundle: Path, points: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c"
    assert run(bundle, out, "--kernel", "int8") == 0
    found = "success at 0.1 m 100.0 % (float32: 100.0 %) (200 starts of point, seed 30000001)."
    assert found in capsys.readouterr().out
    assert found in (out / README).read_text()
    # The comment of policy.h is wrapped.
    assert found in " ".join((out / "policy.h").read_text().split("*/")[0].split())
    assert "policy_dense_int8" in (out / SOURCE).read_text()


@needs_gcc
def test_ruined_weights_are_refused_and_nothing_is_written(
    bundle: Path, points: Task, ruined: None, tmp_path: Path
) -> None:
    out = tmp_path / "c"
    with pytest.raises(UserError, match=r"0\.0 % \(float32: 100\.0 %\) \(200 starts.*--kernel c computes") as refused:
        run(bundle, out, "--kernel", "int8")
    assert "\n" not in str(refused.value)
    assert not any(tmp_path.iterdir())
    assert run(bundle, out) == 0
    before = (out / SOURCE).read_bytes()
    with pytest.raises(UserError, match="nothing is written"):
        run(bundle, out, "--kernel", "int8")
    assert (out / SOURCE).read_bytes() == before


@needs_gcc
def test_firmware_passes_the_same_gate(bundle: Path, points: Task, ruined: None, tmp_path: Path) -> None:
    out = tmp_path / "app"
    arguments = [str(bundle), str(out), "--target", "cmake", "--kernel", "int8"]
    with pytest.raises(UserError, match="kernel int8 does worse than float32"):
        firmware.run(arguments)
    assert not any(tmp_path.iterdir())


def test_ungated_is_written_untested_and_says_so(
    bundle: Path, ruined: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, tmp_path / "c", "--kernel", "int8", "--ungated") == 0
    for text in (capsys.readouterr().out, (tmp_path / "c" / README).read_text()):
        assert "Kernel int8 was not tested" in text
    with pytest.raises(UserError, match="leave it out for kernel asm"):
        run(bundle, tmp_path / "asm", "--kernel", "asm", "--ungated")


def test_what_a_trial_lacks_is_named(
    bundle: Path, points: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match=r"no C compiler is installed \(gcc or clang\); --ungated writes"):
        run(bundle, tmp_path / "c", "--kernel", "int8")
    assert not any(tmp_path.iterdir())


@needs_gcc
def test_an_unknown_task_or_a_missing_simulator_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"can't be tested: there is no task 'point'.*; --ungated writes it untested"):
        run(bundle, tmp_path / "c", "--kernel", "int8")

    def lacking(num_worlds: int, seed: int, device: str) -> PointEnvironment:
        raise ModuleNotFoundError("No module named 'mujoco'", name="mujoco")

    monkeypatch.setitem(sim.tasks.TASKS, "point", point_task(lacking))
    with pytest.raises(UserError, match="can't be tested: mujoco is not installed; --ungated"):
        run(bundle, tmp_path / "c", "--kernel", "int8")
    assert not any(tmp_path.iterdir())


class Reversed(PointEnvironment):
    """A world where every push goes the wrong way."""

    def step(self, commands: Commands) -> Step:
        return super().step(Commands({"push": -commands["push"]}))


@needs_gcc
def test_a_policy_that_fails_in_float32_can_not_be_compared(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sim.tasks.TASKS, "point", point_task(Reversed))
    with pytest.raises(UserError, match=r"the policy itself fails in float32 \(success at 0\.1 m 0\.0 %\)"):
        run(bundle, tmp_path / "c", "--kernel", "int8")


def stepped_points(task: Task, num_worlds: int, seed: int, device: str, variation: Variation, /) -> PointEnvironment:
    """A point that moves by a whole step at each call, for as many times the calls."""
    return PointEnvironment(num_worlds, seed, device, EPISODE_STEPS * task.substeps)


@needs_gcc
@pytest.mark.parametrize("calls", [1, 3])
def test_c_flies_as_its_bundle_does_at_any_rate(bundle: Path, points: Task, tmp_path: Path, calls: int) -> None:
    loaded = load_bundle(bundle)
    rate = calls / loaded.manifest.timing.period
    generate(bundle, tmp_path / "c", "c", rate)
    texts = {name: (tmp_path / "c" / name).read_text() for name in ("policy.h", SOURCE)}
    pilot = CPilot(batch.BatchLibrary(texts, loaded.manifest), loaded.manifest)
    task = replace(points, any_rate=True, world=stepped_points)
    ours, theirs = (evaluate(one, task, 50, 7, calls=Calls(calls)) for one in (pilot, loaded))
    assert np.allclose(ours.distances, theirs.distances, atol=1e-4)
    assert theirs.success is not None


def flight(success: float | None, survival: float = 1.0) -> Evaluation:
    share = Interval(survival, 0.0, 1.0)
    successes = None if success is None else replace(share, value=success)
    return Evaluation(
        task="any", seed=1, episodes=200, survival=share, success=successes,
        episode_return=share, distance=None, distance_percentiles=None, rmse=None,
        survived=np.ones(1, bool), succeeded=np.ones(1, bool), distances=np.ones(1),
    )  # fmt: skip


def walk(falls: int, error: float) -> WalkingEvaluation:
    any_interval = Interval(error, 0.0, 1.0)
    yaw = YawErrors(Stride(20, 0.02, True), any_interval, any_interval, any_interval, any_interval)
    return WalkingEvaluation(
        task="any", seed=1, episodes=50, imperfections=1.0, velocity_error=any_interval, yaw=yaw,
        fall_rate=wilson(falls, 50), episode_return=any_interval, terrain=(), fell=np.ones(1, bool),
        velocity_errors=np.ones(1),
    )  # fmt: skip


def test_two_points_of_success_or_survival_may_be_lost() -> None:
    assert int8_gate.compare_flights(flight(0.96), flight(0.98))[0].holds
    assert int8_gate.compare_flights(flight(1.0), flight(0.98))[0].holds
    assert not int8_gate.compare_flights(flight(0.955), flight(0.98))[0].holds
    assert not int8_gate.compare_flights(flight(None, 0.9), flight(None, 0.95))[0].holds


def test_two_points_of_falls_and_a_tenth_of_velocity_error_may_be_added() -> None:
    def holds(ours: WalkingEvaluation) -> list[bool]:
        return [figure.holds for figure in int8_gate.compare_walks(ours, walk(1, 0.2))]

    assert holds(walk(2, 0.215)) == [True, True]
    assert holds(walk(3, 0.215)) == [False, True]
    assert holds(walk(0, 0.225)) == [True, False]
    with pytest.raises(UserError, match=r"falls 98\.0 %"):
        int8_gate.compare_walks(walk(49, 0.2), walk(49, 0.2))
