"""The Crazyflie app behind stand-in headers, and the conversions for PX4: units, frames, motors, refusals."""

from __future__ import annotations

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from deploy.export.exporter import ExportReport
from deploy.firmware.build import WARNINGS, write_firmware
from deploy.toolchain import MCU_FLAGS
from robo_rl.cli.main import main
from tests.deploy.firmware import stand_in
from tests.deploy.firmware.apps import (
    DISABLED,
    FLAGS,
    HEADERS,
    OFF,
    STEP,
    VELOCITY_MODE,
    Tick,
    changed,
    load_app,
    shared,
)
from tests.mcu_tools import needs_arm, needs_gcc

pytestmark = needs_gcc


def test_a_speed_becomes_the_square_of_its_share(app: Tick) -> None:
    assert app() == pytest.approx((0.25,) * 4)  # 1000 of 2000 rad/s, thrust proportional to the square.


def test_the_gyro_is_converted_to_radians(app: Tick) -> None:
    still, turning = app()[0], app(changed(10, 360.0), tick=STEP)[0]
    faster = 1000.0 + 0.25 * 0.1 * 1000.0 + 12.5 * 2.0 * math.pi
    assert still == pytest.approx(0.25)
    assert turning == pytest.approx((faster / 2000.0) ** 2, rel=1e-5)


def test_the_setpoint_is_subtracted(app: Tick) -> None:
    assert app(changed(15, 1.5))[0] == pytest.approx((1200.0 / 2000.0) ** 2)


def test_between_steps_the_forces_stay(app: Tick) -> None:
    first = app()
    assert app(changed(15, 5.0), tick=1) == first
    assert app(changed(15, 1.5), tick=STEP) != first


@pytest.mark.parametrize("mode", [DISABLED, VELOCITY_MODE])
def test_other_setpoints_keep_the_motors_off(app: Tick, mode: int) -> None:
    assert app()[0] > 0.0
    assert app(mode=mode, tick=STEP) == OFF


@pytest.mark.parametrize("index", range(13))
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_bad_sensor_turns_the_motors_off_and_keeps_them_off(app: Tick, index: int, wrong: float) -> None:
    assert app()[0] > 0.0
    for step in range(1, 5):
        assert app(changed(index, wrong), tick=step * STEP) == OFF
    assert app(tick=5 * STEP) == OFF
    app(mode=DISABLED, tick=6 * STEP)  # The setpoint withdrawn, then given again.
    assert app(tick=7 * STEP)[0] > 0.0


def test_a_corrupted_weight_never_flies(tmp_path: Path) -> None:
    bad = stand_in.write_generated(tmp_path / "bad", stand_in.manifest(), ("-150.0f", "-151.0f"))
    library, tick = load_app(write_firmware(bad, tmp_path / "app", "crazyflie"))
    library.controllerOutOfTreeInit()
    assert not library.controllerOutOfTreeTest()
    assert tick() == OFF


def test_the_thrust_polynomial_is_the_motors(generated: Path, tmp_path: Path) -> None:
    thrust = (0.00352526, 0.01437313, 0.09223048)
    library, tick = load_app(write_firmware(generated, tmp_path / "app", "crazyflie", thrust=thrust))
    library.controllerOutOfTreeInit()
    assert library.controllerOutOfTreeTest()
    expected = (thrust[0] + 0.5 * thrust[1] + 0.25 * thrust[2]) / sum(thrust)
    assert tick() == pytest.approx((expected,) * 4, rel=1e-5)
    assert tick(mode=DISABLED, tick=STEP) == OFF


def test_units(built: tuple[ctypes.CDLL, Tick]) -> None:
    library, _ = built
    out = (ctypes.c_float * 4)()
    library.units_angular_velocity((ctypes.c_float * 3)(180.0, -90.0, 0.0), out)
    assert tuple(out[:3]) == pytest.approx((math.pi, -math.pi / 2, 0.0))
    library.units_quaternion((ctypes.c_float * 4)(1.0, 2.0, 3.0, 4.0), out)
    assert tuple(out) == (4.0, 1.0, 2.0, 3.0)


@needs_arm
def test_the_app_of_a_bundle_compiles_for_the_chip_with_the_firmware_s_flags(
    report: ExportReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "app"
    assert main(["firmware", str(report.path), str(folder), "--target", "crazyflie"]) == 0
    assert "#define POLICY_SUBSTEPS 5u" in (folder / "src" / "policy.h").read_text()  # 500 Hz for one of 100 Hz.
    sources = sorted((folder / "src").glob("*.c"))
    include = (f"-I{folder}/src", f"-I{HEADERS}")
    command = ["arm-none-eabi-gcc", *MCU_FLAGS, *FLAGS, *include, "-c", *map(str, sources)]
    subprocess.run(command, check=True, cwd=tmp_path)
    words = (folder / "src" / "Kbuild").read_text().split()
    assert {word.removesuffix(".o") for word in words if word.endswith(".o")} == {path.stem for path in sources}


def test_the_firmware_s_own_stack_sizes_do_not_compile(generated: Path, tmp_path: Path) -> None:
    folder = write_firmware(generated, tmp_path / "app", "crazyflie")
    stack = "-DSTABILIZER_TASK_STACKSIZE=(3 * configMINIMAL_STACK_SIZE)"
    command = ["gcc", *FLAGS, f"-I{folder}/src", f"-I{HEADERS}", stack, "-fsyntax-only", str(folder / "src" / "app.c")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode != 0
    assert "raise STABILIZER_TASK_STACKSIZE" in finished.stderr


def rotation(q: np.ndarray) -> np.ndarray:
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.fixture(scope="module")
def frames(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = write_firmware(generated, tmp_path_factory.mktemp("px4") / "module", "px4")
    return shared(folder, str(folder / "src" / "frames.c"), include=(*WARNINGS, "-Wfloat-equal", "-Wcast-align"))


def test_px4_s_attitude_is_rotated_by_half_a_turn_about_x_on_both_sides(frames: ctypes.CDLL) -> None:
    turn = np.diag([1.0, -1.0, -1.0])
    random = np.random.default_rng(2)
    for _ in range(50):
        q = random.normal(size=4)
        q /= np.linalg.norm(q)
        out = (ctypes.c_float * 4)()
        frames.frames_quaternion((ctypes.c_float * 4)(*q), out)
        assert rotation(np.array(out)) == pytest.approx(turn @ rotation(q) @ turn, abs=1e-6)
        v = random.normal(size=3)
        frames.frames_vector((ctypes.c_float * 3)(*v), out)
        assert np.array(out[:3]) == pytest.approx(turn @ v, abs=1e-6)


def test_px4_s_motors_are_ours_by_place_and_by_sense_of_rotation(frames: ctypes.CDLL) -> None:
    from sim.robots.crazyflie import PARAMETERS

    ours = PARAMETERS["crazyflie"]
    # PX4's quadrotor x: front right, back left, front left, back right; the first two turn counter-clockwise seen from
    # above, so that their reaction turns the body clockwise: a negative moment about our z, which is up.
    place = [(1, -1), (-1, 1), (1, 1), (-1, -1)]
    sense = [-1, -1, 1, 1]
    out = (ctypes.c_float * 4)()
    for rotor in range(4):
        command = [0.0] * 4
        command[rotor] = 1.0
        frames.frames_motors((ctypes.c_float * 4)(*command), out)
        motor = list(out).index(1.0)
        assert place[motor] == (np.sign(ours.rotor_x[rotor]), np.sign(ours.rotor_y[rotor]))
        assert sense[motor] == ours.yaw_sign[rotor]
