"""`bench any` at its smallest: kept trainings, every pilot, vehicles with teachers of their own, and the table."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from policies.errors import UserError
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench import any as bench
from robo_rl.bench import mcu, tables
from robo_rl.cli.main import main
from sim.tasks import TASKS, find_task

TINY: dict[str, dict[str, Any]] = {
    "flight": {
        "reads": "truth", "hidden": (16,), "warm_up_iterations": 1, "warm_up_worlds": 32, "warm_up_steps": 2,
        "warm_up_updates": 2, "warm_up_batch": 16, "worlds": 8, "horizon": 4,
    },
    "distill": {
        "actor": "gru", "memory": 16, "actor_hidden": (), "num_worlds": 16, "rollout_steps": 8, "updates": 2,
        "batch": 32, "capacity": 256, "minibatches": 2,
    },
}  # fmt: skip
SETTINGS = bench.Settings(
    vehicles=6, compared=1, flights=3, teacher_iterations=1, own_iterations=1, student_iterations=2
)


def test_the_recommended_student_is_the_published_one() -> None:
    student = recommended_config("distill", find_task(bench.TASK))
    assert isinstance(student, DistillConfig)
    assert (student.arm, student.actor, student.memory) == ("dagger", "gru", 16)


def test_the_command_line_takes_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "any", "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{field.name.replace('_', '-')}" in shown for field in fields(bench.Settings))
    assert main(["bench", "any", "--own-iterations", "0"]) == 2
    assert "own_iterations must be at least 1, got 0" in capsys.readouterr().err


def test_every_pilot_flies_and_kept_runs_are_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "FIGURE_STEPS", 30)
    monkeypatch.setitem(TASKS, bench.TASK, replace(find_task(bench.TASK), recommended=TINY))
    monkeypatch.setattr(bench, "export_run", lambda *given, **named: None)
    monkeypatch.setattr(
        mcu, "measured_step", lambda name, bundle, kernel, settings: {"kernel": kernel, "instructions": 8000}
    )
    settings = replace(SETTINGS, runs=tmp_path / "runs")
    result = bench.run(settings)
    assert [row["pilot"] for row in result["pilots"]] == [
        "student", "teacher of all", "controller that knows the vehicle",
    ]  # fmt: skip
    # Hardly trained, only the controller flies.
    assert result["pilots"][2]["survival"] >= 0.5 > result["pilots"][0]["survival"]
    (vehicle,) = result["vehicles"]
    assert 0.02 <= vehicle["mass_kg"] <= 5.0 and 1.5 <= vehicle["thrust_to_weight"] <= 5.0
    assert 40.0 <= vehicle["torque_to_inertia"] <= 1200.0
    assert result["parameters"] == 1988
    assert "8,000 (`c`)" in tables.TABLES["any"](result)

    monkeypatch.setattr("robo_rl.training.runner.train", _not_again)
    assert bench.run(settings)["student_seconds"] == result["student_seconds"]
    with pytest.raises(UserError, match=r"other settings .*iterations is 1 in the run, 2 was given.*--runs"):
        bench.run(replace(settings, teacher_iterations=2))


def _not_again(*given: Any, **named: Any) -> None:
    raise AssertionError("trained again")


def test_the_figure_starts_near_its_centre_and_is_flown_by_every_vehicle() -> None:
    task = bench.figure_task(find_task(bench.TASK), 5.5)
    _, truth = task.make_environment(50, 0).reset()
    assert bool((truth["position_error"].abs() <= truth["rotor_distance"] * 1.001).all())
    assert len(truth["dynamics"][:, 0].unique()) == 50
    assert task.episode_steps == bench.FIGURE_STEPS


@pytest.mark.parametrize(("field", "value"), [("vehicles", 0), ("figure_period", 0.0), ("seed", 10_000_000)])
def test_bad_settings_name_the_field(field: str, value: float) -> None:
    with pytest.raises(UserError, match=field):
        replace(SETTINGS, **{field: value})  # type: ignore[arg-type]
