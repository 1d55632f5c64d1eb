"""The benchmark of distillation at a tiny size: its rows, what is saved, the probe, and what its table says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from policies.networks.memory import GruNetwork
from robo_rl.algorithms.distill.arms import ARMS
from robo_rl.bench import distill
from robo_rl.bench.distill_probe import probe, r_squared, source
from robo_rl.bench.distill_table import distill as table
from robo_rl.bench.saved_rows import Row
from robo_rl.output import results
from sim.controllers.teacher import LearnedTeacher
from sim.legged.hidden import HIDDEN
from sim.tasks import TASKS, find_task
from sim.terms.terms import CriticsView
from tests.robo_rl.short_task import shorter


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> distill.Settings:
    monkeypatch.setitem(TASKS, distill.TASK, shorter(find_task(distill.TASK), 125))
    algorithm = replace(
        distill.recommended(), iterations=4, num_worlds=4, rollout_steps=4, minibatches=1, epochs=1, imitation=0,
        symmetry="none",
        actor_hidden=(8,), critic_hidden=(8,), memory=4, history=2, history_code=3, update_threads=1,
    )  # fmt: skip
    return distill.Settings(
        seeds=1, alphas=(1e-3, 0.1), alpha_seeds=1, worlds=2, probe_worlds=6, probe_steps=101,
        arms=("blind", "dagger", "hib", "rma", "teacher"), runs=tmp_path, algorithm=algorithm,
    )  # fmt: skip


def test_every_arm_has_a_row_for_each_range_and_finished_ones_are_not_measured_again(
    tiny: distill.Settings, tmp_path: Path
) -> None:
    saved: dict[str, Row] = {}
    measured: list[str] = []

    def keep(name: str, measure: Any) -> Row:
        if name not in saved:
            measured.append(name)
            saved[name] = results.plain(measure())
        return dict(saved[name])

    result = results.plain(distill.run(tiny, keep))
    rows = result["rows"]
    assert [(row["arm"], row["range"]) for row in rows] == [
        (arm, one) for arm in ("teacher", "blind", "dagger", "hib", "rma") for one in ("in", "1.5x")
    ]
    for row in rows:
        assert {"arm", "seed", "range", "return", "falls", "probe_r2"} <= row.keys()
        assert row["probe_r2"].keys() == HIDDEN.keys()
        assert row["return_interval"][0] <= row["return"] <= row["return_interval"][1]
        assert row["environment_steps"] == 4 * 4 * 4
    assert {row["arm"]: row["probe_from"] for row in rows} == {
        "teacher": "observation", "blind": "observation", "dagger": "code", "hib": "code", "rma": "code",
    }  # fmt: skip
    # HIB's own compression is not trained twice.
    assert [(row["alpha"], row["range"]) for row in result["alpha"]] == [
        (alpha, one) for alpha in (1e-3, 0.1) for one in ("in", "1.5x")
    ]
    assert result["alpha"][0]["return"] == next(row for row in rows if row["arm"] == "hib")["return"]
    assert measured == ["teacher-0", "blind-0", "dagger-0", "hib-0", "rma-0", "hib-compression=0.1-0"]
    assert "refused" in result["adastop"]["in"]
    assert (tmp_path / "dagger-0" / "sources").is_dir()
    again = results.plain(distill.run(tiny, keep))
    assert again == result
    assert len(measured) == 6
    text = table(result)
    assert "| hib | history |" in text and "no verdict" in text


def test_a_training_ends_when_its_time_is_up(tiny: distill.Settings) -> None:
    settings = replace(tiny, minutes=1e-6, arms=("blind",), alphas=())
    rows = distill.run(settings)["rows"]
    assert [row["iterations"] for row in rows] == [1, 1]
    with pytest.raises(UserError, match=r"blind-0 holds a run with other settings .*; name another folder with --runs"):
        distill.run(replace(settings, algorithm=replace(settings.algorithm, clip=0.1)))
    # Where there is time left, a run goes on.
    assert [row["iterations"] for row in distill.run(replace(settings, minutes=6.0))["rows"]] == [4, 4]


def test_the_arms_settings_are_possible_and_spend_the_same_steps() -> None:
    for arm in ARMS:
        config = distill.arm_settings(arm, distill.Settings())
        assert config.actor in ARMS[arm].actors
        assert config.iterations + (config.adaptation if arm == "rma" else 0) == 100
    with pytest.raises(UserError, match="there is no arm 'hip'; arms: bc, dagger"):
        distill.Settings(arms=("hip",))


def test_a_ridge_probe_finds_what_is_linear_and_nothing_else() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(600, 5, generator=random, dtype=torch.float64)
    noise = torch.randn(600, 1, generator=random, dtype=torch.float64)
    y = torch.cat((x[:, :1] - 2.0 * x[:, 1:2] + 3.0, noise), 1)
    known, unknown = r_squared(x[:400], y[:400], x[400:], y[400:]).tolist()
    assert known > 0.99
    assert abs(unknown) < 0.1


def test_the_probe_reads_a_recurrent_memory_and_a_teachers_truth() -> None:
    task = find_task(distill.TASK)
    assert source(task.policy_graph(GruNetwork(task.observation_dim, 4, (8,), 12))) == "memory"

    class Still(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 12)

    teacher = LearnedTeacher([CriticsView(HIDDEN, task.period)], Still(), task.action)
    assert source(teacher) == "observation"
    # It observes the hidden parameters themselves.
    for name, score in probe(teacher, task, HIDDEN, 60, 101, 3, 1.0).items():
        assert score is not None and score > 0.95, name


def test_the_table_says_what_adastop_allows() -> None:
    rows = [
        {
            "arm": arm, "seed": seed, "range": one, "return": level + seed, "falls": 0.1, "actor": "mlp",
            "probe_from": "observation", "probe_r2": {"wind": 0.5},
        }
        for arm, level in (("teacher", 60.0), ("blind", 10.0))
        for seed in range(5)
        for one in ("in", "1.5x")
    ]  # fmt: skip
    result = {"rows": rows, "alpha": [], "adastop": {one: distill._adastop(rows, one) for one in ("in", "1.5x")}}
    text = table(results.plain(result))
    assert "In range, AdaStop (5 seeds, level 5 %) finds: teacher above blind." in text
    assert "| blind | mlp | 12.0 (10.0 to 14.0) |" in text
