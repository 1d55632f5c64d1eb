"""The Crazyflie app when streamed setpoints stop: it holds the last target, and descends when they are given up."""

from __future__ import annotations

import math
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.firmware.build import HERE
from tests.deploy.firmware.apps import AT_REST, DISABLED, OFF, POSITION_MODE, STEP, Tick, changed
from tests.mcu_tools import needs, needs_gcc

LAST = 1000
"""Tick of the last setpoint."""
LEVEL_OUT, GIVEN_UP = LAST + 500, LAST + 2000
"""The last ticks before the supervisor levels the setpoint out, and before it gives it up (stand-in, supervisor.h)."""


def stream(app: Tick) -> tuple[float, ...]:
    """Fly to a fresh setpoint in every step up to `LAST`; the last forces."""
    return [app(tick=tick) for tick in range(0, LAST + 1, STEP)][-1]


def speed(forces: tuple[float, ...]) -> float:
    """The commanded rotor speed, rad/s."""
    return 2000.0 * math.sqrt(forces[0])


@needs_gcc
def test_a_gap_of_the_radio_holds_the_last_target(app: Tick) -> None:
    flying = stream(app)
    for tick in range(LAST + STEP, GIVEN_UP + 1, STEP):
        assert app(tick=tick, stamp=LAST) == pytest.approx(flying)
    higher = app(changed(2, 1.1), tick=GIVEN_UP, stamp=LAST)
    assert speed(higher) == pytest.approx(speed(flying) - 400.0 * 0.1, rel=1e-4)


@needs_gcc
def test_a_new_setpoint_ends_the_gap(app: Tick) -> None:
    stream(app)
    app(tick=LEVEL_OUT + 100, stamp=LAST)
    fresh = app(changed(15, 1.2), tick=LEVEL_OUT + 110)
    assert speed(fresh) == pytest.approx(1052.6 + 400.0 * 0.2, rel=1e-3)


@needs_gcc
def test_when_the_supervisor_gives_the_setpoint_up_the_vehicle_descends_and_lands(app: Tick) -> None:
    stream(app)
    held = [app(tick=tick, stamp=LAST) for tick in range(LAST + STEP, GIVEN_UP + 1, STEP)][-1]
    after = [app(tick=GIVEN_UP + STEP * step, stamp=LAST) for step in range(1, 201)]
    sinking = [speed(forces) for forces in after[:60]]
    assert all(later <= sooner for sooner, later in pairwise(sinking))
    assert sinking[0] < speed(held)
    # 0.3 m/s, seen through the stand-in's 400 rad/s per metre and 5 % of memory.
    assert sinking[40] - sinking[50] == pytest.approx(400.0 * 0.3 * 0.1 * 1.05, rel=0.05)
    # The vehicle stays at rest: landed 0.5 s after the target is 0.2 m below it.
    assert after.index(OFF) in range(114, 120)
    assert set(after[after.index(OFF) :]) == {OFF}


@needs_gcc
def test_a_request_to_stop_in_the_gap_stops_the_motors_at_once(app: Tick) -> None:
    stream(app)
    assert app(tick=LEVEL_OUT + 100, stamp=LAST) != OFF
    assert app(mode=DISABLED, tick=LEVEL_OUT + 110) == OFF


@needs_gcc
def test_a_null_setpoint_without_a_gap_stops_the_motors_at_once(app: Tick) -> None:
    assert app(tick=100) != OFF
    assert app(mode=DISABLED, tick=110, stamp=0) == OFF  # As in an emergency stop.


@needs_gcc
def test_a_fresh_setpoint_of_height_and_attitude_is_not_a_gap(app: Tick) -> None:
    stream(app)
    assert app(mode=(DISABLED, DISABLED, POSITION_MODE), tick=LAST + STEP) == OFF


@needs_gcc
def test_an_old_setpoint_alone_does_not_start_the_motors(app: Tick) -> None:
    assert app(tick=LEVEL_OUT + 100, stamp=LAST) == OFF
    assert app(tick=GIVEN_UP + 100, stamp=LAST) == OFF


@needs_gcc
@pytest.mark.parametrize("index", [0, 3, 9, 10])
def test_a_bad_sensor_in_the_gap_turns_the_motors_off_and_keeps_them_off(app: Tick, index: int) -> None:
    stream(app)
    for step in range(1, 6):
        assert app(changed(index, math.nan), tick=LEVEL_OUT + step * STEP, stamp=LAST) == OFF
    assert app(AT_REST, tick=LEVEL_OUT + 100, stamp=LAST) == OFF


def tree(folder: Path, distribution: str | None) -> Path:
    """A checkout of crazyflie-firmware as the app's Makefile looks at it; None: without the file."""
    for name in ("tools/make", "src/modules/src"):
        (folder / name).mkdir(parents=True)
    (folder / "tools" / "make" / "oot.mk").write_text("all:\n\t@echo built\n")
    if distribution is not None:
        (folder / "src" / "modules" / "src" / "power_distribution_quadrotor.c").write_text(distribution)
    return folder


def make(app: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-s", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)


@needs("make")
def test_the_makefile_refuses_a_tree_that_does_not_carry_out_forces(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    shutil.copy(HERE / "crazyflie" / "Makefile", app)
    function = "static void powerDistributionForce(const control_t *control) {{\n  {}\n}}\n"
    old = tree(tmp_path / "old", function.format("// Not implemented yet"))
    new = tree(tmp_path / "new", function.format("float f = control->normalizedForces[i];"))
    other = tree(tmp_path / "other", None)
    finished = make(app, f"CRAZYFLIE_BASE={old}")
    assert finished.returncode != 0
    assert "the motors would never turn: check out 2025.12 or newer" in finished.stderr
    assert "name a checkout of crazyflie-firmware" in make(app, f"CRAZYFLIE_BASE={other}").stderr
    assert "name your checkout" in make(app).stderr
    finished = make(app, f"CRAZYFLIE_BASE={new}")
    assert (finished.returncode, finished.stdout) == (0, "built\n")
