"""`bench chip` at its smallest: both pilots fly the same world, and the chip gives onnxruntime's commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.signals import Sensors
from robo_rl.bench import chip, tables
from sim.robots.crazyflie import PARAMETERS
from sim.tasks import find_task
from tests.e2e.controller_policy import export_controller
from tests.mcu_tools import needs_arm, needs_qemu

STEPS = 60


@needs_arm
@needs_qemu
def test_the_chip_flies_what_onnxruntime_flies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_controller(tmp_path / "bundle")
    monkeypatch.setattr(chip, "SETTLED", 0.2)
    settings = chip.Settings(hover=tmp_path / "bundle", starts=2, seconds=5.0)
    object.__setattr__(settings, "seconds", STEPS * 0.01)
    # The bundle of the other task was flown before.
    flown = {"task": "crazyflie-track", "pilot": "saved", "survived": 0, "succeeded": 0}
    result = chip.run(settings, lambda name, measure: dict(flown) if "track" in name else measure())
    rows = [row for row in result["rows"] if row["pilot"] != "saved"]
    assert len(result["rows"]) == 4
    assert [row["pilot"] for row in rows] == ["onnxruntime", "emulated chip"]
    assert all(row["task"] == "crazyflie-hover" and 0 <= row["succeeded"] <= row["survived"] <= 2 for row in rows)
    assert rows[1]["command_difference"] < 1e-5
    text = tables.TABLES["chip"]({"rows": rows, "starts": 2, "seconds": 0.6})
    assert "| crazyflie-hover | emulated chip |" in text


@pytest.mark.parametrize(("name", "tilted"), [("crazyflie-hover", True), ("crazyflie-track", False)])
def test_the_worlds_are_the_tasks_own_with_starts_that_a_chip_arms(name: str, tilted: bool) -> None:
    world = chip.make_world(find_task(name), 64, STEPS)
    sensors, _ = world.reset()
    q = sensors["orientation"]
    tilt = torch.arccos((1.0 - 2.0 * (q[:, 1] ** 2 + q[:, 2] ** 2)).clamp(-1.0, 1.0))
    assert float(tilt.max()) < chip.MAX_START_TILT + 0.01
    assert (float(tilt.max()) > 0.2) == tilted


def test_a_flight_counts_who_survives_and_how_far_they_were() -> None:
    task = find_task("crazyflie-track")
    parameters = PARAMETERS["crazyflie"]

    def fall(sensors: Sensors) -> Tensor:
        return torch.full((len(sensors["position"]), 4), 0.0 * parameters.max_speed)

    lost = chip.fly(fall, chip.make_world(task, 3, 300), 300, task.period)
    assert lost == {"survived": 0, "succeeded": 0, "mean_error_m": None, "max_error_m": None}
    early = chip.fly(fall, chip.make_world(task, 3, 10), 10, task.period)
    assert early["survived"] == 3
    assert 0.0 < early["mean_error_m"] <= early["max_error_m"] < 0.3
    assert np.isfinite(early["max_error_m"])
