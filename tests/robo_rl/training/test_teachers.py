"""A teacher reads the truth: it acts, labels, is trained, checkpointed and evaluated, and nothing exports it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deploy.bundle.golden import Episode
from deploy.export.exporter import export_bundle
from policies.errors import UserError
from policies.signals import Sensors, State, Truth
from robo_rl.algorithms.registry import ALGORITHMS
from robo_rl.cli.main import main
from robo_rl.evaluation.flying import Calls, evaluate
from robo_rl.evaluation.registry import evaluate_policy
from robo_rl.training import checkpoint, runner
from robo_rl.training.config import TrainConfig
from sim.controllers.cascaded import CascadedTeacher
from sim.tasks import TASKS, find_task
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.teachers import PRIVILEGED, PrivilegedConfig, PushHome
from tests.robo_rl.tiny_environment import point_task


@pytest.fixture(autouse=True)
def taught_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "point", replace(point_task(), teacher=lambda device: PushHome()))
    monkeypatch.setitem(ALGORITHMS, "privileged", PRIVILEGED)


def silent(iteration: int, total: int, metrics: Mapping[str, float]) -> None: ...


def trained(folder: Path) -> Path:
    runner.create(folder, TrainConfig("point", PrivilegedConfig(), seed=2))
    runner.train(folder, silent)
    return folder


def test_a_scripted_teacher_is_evaluated_as_a_policy_is() -> None:
    task = find_task("point")
    result = evaluate(PushHome(), task, 200)
    assert result.success is not None
    assert result.success.value == 1.0
    with pytest.raises(UserError, match="acts once a control period; leave --rate out"):
        evaluate(PushHome(), task, 4, calls=Calls(2))


def test_the_quadrotors_own_teacher_saves_most_starts_and_labels_what_it_does() -> None:
    task = find_task("crazyflie-hover")
    assert task.teacher is not None
    teacher = task.teacher("cpu")
    assert isinstance(teacher, CascadedTeacher)
    assert evaluate_policy(teacher, task, 100).summary()["survival"]["value"] > 0.85
    sensors, truth = task.make_environment(50, 3).reset()
    label, state = teacher.label(sensors, truth, teacher.initial_state(50))
    commands, _ = teacher.step(sensors, truth, state)
    assert float(label.abs().max()) <= 1.0 + 1e-6
    torch.testing.assert_close(commands["rotor_speed"], teacher.rotor_speeds(truth))
    torch.testing.assert_close(task.action(label, sensors)["rotor_speed"], teacher.rotor_speeds(truth))


def test_a_learned_teacher_is_trained_resumed_and_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "run")
    found = runner.load_trained(run)
    saved = checkpoint.load(run / runner.CHECKPOINT)["algorithm"]["graph"]
    assert_equal(dict(found.policy.state_dict()), dict(saved))
    assert main(["eval", str(run), "--episodes", "100", "--json", str(tmp_path / "eval.json")]) == 0
    assert json.loads((tmp_path / "eval.json").read_text())["success_at_0.1"]["value"] > 0.95
    assert "point, 100 held-out starts" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["export", "play", "report"])
def test_a_teacher_is_not_exported_and_not_played(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "run")
    options = {"export": ["--out", str(tmp_path / "out")], "play": ["--web"], "report": ["--no-video"]}[command]
    assert main([command, str(run), *options]) == 2
    error = capsys.readouterr().err
    assert f"{run} holds a teacher, which reads what only a simulator knows" in error
    assert not (tmp_path / "out").exists()


def test_exporting_a_teacher_is_a_type_error(tmp_path: Path) -> None:
    task = find_task("point")
    learned = PRIVILEGED.make_policy(PrivilegedConfig(), task)
    nothing = Episode({}, torch.ones(1, 1, dtype=torch.bool).numpy())
    with pytest.raises(TypeError, match="only a PolicyGraph can be exported, got LearnedTeacher"):
        export_bundle(
            learned,  # type: ignore[arg-type]
            nothing, tmp_path / "out", name="x", task="point", kind=task.kind, safety=task.safety,
            provenance={}, evaluation={},
        )  # fmt: skip


def test_a_teacher_that_remembers_forgets_at_a_restart() -> None:
    class Counting(PushHome):
        def initial_state(self, batch: int, device: str = "cpu") -> State:
            return State({"calls": torch.zeros(batch, 1)})

        def label(self, sensors: Sensors, truth: Truth, state: State) -> tuple[torch.Tensor, State]:
            return super().label(sensors, truth, state)[0], State({"calls": state["calls"] + 1.0})

    teacher, truth = Counting(), Truth({"position": torch.zeros(3, 1)})
    state = teacher.initial_state(3)
    for _ in range(2):
        _, state = teacher.label(Sensors({}), truth, state)
    state = teacher.reset_where(state, torch.tensor([True, False, True]))
    assert state["calls"].flatten().tolist() == [0.0, 2.0, 0.0]
    assert teacher.reset_where(State({}), torch.tensor([True])) == {}
