"""The benchmarks at their smallest: every key that the issue's readers and the tables ask for is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robo_rl.algorithms.flight import FlightConfig
from robo_rl.bench import gpu, hover, loop, rotor, tables, track
from robo_rl.bench.registry import BENCHMARKS, find_benchmark
from sim.tasks.crazyflie_track import PERIODS

TINY = FlightConfig(
    warm_up_iterations=1, warm_up_worlds=32, warm_up_steps=2, warm_up_updates=2, warm_up_batch=16,
    iterations=1, worlds=8, horizon=4,
)  # fmt: skip


def test_every_benchmark_has_settings_and_a_table() -> None:
    assert [*BENCHMARKS, *tables.COMMANDS] == list(tables.TABLES)
    for name in BENCHMARKS:
        find_benchmark(name).Settings()


def test_hover_sets_success_against_what_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = 8
    by_oracle = np.arange(starts) < 4
    startup = {"import_seconds": 1.0, "kernel_compile_seconds": 2.0}
    monkeypatch.setattr(hover, "_oracle", lambda union, episodes: by_oracle)
    monkeypatch.setattr(hover, "_startup_seconds", lambda: startup)
    result = hover.run(hover.Settings(seeds=2, first_seed=5, episodes=starts, algorithm=TINY))
    assert [row["seed"] for row in result["seeds"]] == [5, 6]
    # Hardly trained, no policy survives, so only the oracle saves starts.
    assert result["savable_share"] == result["saved_by_some_policy"] + result["saved_by_oracle_alone"] >= 0.5
    for row in result["seeds"]:
        assert 0.0 <= row["success_at_0.1"] <= row["survival"] <= 1.0
        assert row["share_of_savable"] == row["success_at_0.1"] / result["savable_share"]
        assert row["train_seconds"] > 0.0
    assert result["worst_train_seconds"] == max(row["train_seconds"] for row in result["seeds"])
    assert startup.items() <= result.items()
    assert "| 6 |" in tables.TABLES["hover"](result)


def test_track_flies_every_controller_on_every_robot_and_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    flown: list[tuple[Any, ...]] = []

    def fly(make: Any, interval: Any, robot: str, flights: int, *more: Any, **named: Any) -> Any:
        flown.append((interval, robot))
        return torch.tensor([0.1, 0.3, 9.0]), torch.tensor([True, True, False])

    monkeypatch.setattr(track, "fly_figure", fly)
    result = track.run(track.Settings(flights=3, algorithm=TINY))
    controllers = {row["controller"] for row in result["rows"]}
    assert "learned" in controllers
    assert len(controllers) >= 2
    assert {row["period"] for row in result["rows"]} == set(PERIODS)
    assert len(result["rows"]) == len(flown) == len(controllers) * len(PERIODS) * 2
    for row in result["rows"]:
        assert row["rmse"] == pytest.approx(0.2), "a lost flight has no error"
        assert row["survival"] == pytest.approx(2 / 3)
    assert "(66.7 % survive)" in tables.TABLES["track"](result)


@pytest.mark.slow
def test_rotor_measures_and_leaves_torch_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotor, "usable_cores", lambda: 2)
    torch.set_num_threads(1)
    result = rotor.run(rotor.Settings(worlds=16, steps=2, repeats=1))
    rates = [value for name, value in result.items() if "per_second" in name]
    assert len(rates) == 4
    assert all(rate > 0.0 for rate in rates)
    assert "| 16 worlds |" in tables.TABLES["rotor"](result)
    assert torch.get_num_threads() == 1


@pytest.mark.slow
def test_gpu_measures_every_row_on_whichever_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU in place of the GPU; the differences from the CPU are then none."""
    monkeypatch.setattr(
        gpu, "train_and_evaluate", lambda seed, *_: {"seed": seed, "train_seconds": 1.0, "success_at_0.1": 0.5}
    )
    small = (8,)
    result = gpu.run(gpu.Settings(small, small, steps=2, repeats=1, seeds=2, ppo_worlds=small, device="cpu"))
    assert max(result["parity"][name] for name in ("one_step", "all_steps", "state_gradient")) == 0.0
    rates = [value for part in ("physics", "environments", "ppo") for row in result[part] for value in row.items()]
    assert min(rate for name, rate in rates if "per_second" in name) > 0.0
    assert "| RK4 steps | 8 | CPU |" in tables.TABLES["gpu"](result)


def test_ages_come_from_the_accepted_commands_of_the_robot_s_log(tmp_path: Path) -> None:
    log = tmp_path / "robot.jsonl"
    log.write_text(
        '{"kind":"physics","age":9.0}\n'
        '{"kind":"accepted","age":0.002}\n'
        '{"kind":"rejected","age":0.5}\n'
        '{"kind":"accepted","age":0.004}\n'
    )
    assert loop.accepted_ages(log).tolist() == [0.002, 0.004]
