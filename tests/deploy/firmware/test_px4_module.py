"""The PX4 module in both of PX4's module bases: modes, setpoints, ages, valid estimates, stacks."""

from __future__ import annotations

import ctypes
import math
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.export.exporter import ExportReport
from deploy.firmware.build import HERE, write_firmware
from deploy.toolchain import MCU_FLAGS
from tests.deploy.firmware import stand_in
from tests.deploy.firmware.px4 import (
    BASES,
    FLAGS,
    NOT,
    STACK_MAIN,
    STEP_US,
    THERE,
    Autopilot,
    Base,
    check,
    includes,
    load,
)
from tests.mcu_tools import needs, needs_cmake

needs_compilers = needs("gcc", "g++")
SAFE = (0.0,) * 4
HOVER = pytest.approx((0.25,) * 4, rel=1e-4)
"""The stand-in's first command at its target: half the highest speed."""


@pytest.fixture(scope="module", params=BASES)
def library(request: pytest.FixtureRequest, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("px4")
    return load(write_firmware(generated, folder / "module", "px4"), request.param, folder / "build")


@pytest.fixture
def px4(library: ctypes.CDLL) -> Iterator[Autopilot]:
    with Autopilot(library) as px4:
        assert px4.started
        yield px4


def fly(px4: Autopilot, setpoint: tuple[float, ...] = THERE, steps: int = 40) -> tuple[float, ...]:
    """Fly until the stand-in's memory has settled; the last command."""
    return [px4.step(setpoint) for _ in range(steps)][-1][0]


def speed(forces: tuple[float, ...]) -> float:
    """The commanded rotor speed, rad/s."""
    return 2000.0 * math.sqrt(forces[0])


@needs_compilers
def test_it_is_scheduled_at_the_policy_s_rate_and_flies_to_a_setpoint(px4: Autopilot) -> None:
    assert px4.interval == STEP_US
    assert px4.step() == [SAFE]  # No setpoint yet.
    assert px4.step(THERE) == [HOVER]


@needs_compilers
def test_it_publishes_nothing_while_disarmed_or_in_another_mode(px4: Autopilot) -> None:
    assert px4.step(THERE, armed=False) == []
    assert px4.step(THERE, position=False) == []
    assert px4.step(THERE) == [HOVER]


@needs_compilers
@pytest.mark.parametrize(("armed", "position"), [(True, False), (False, True)])
def test_when_position_control_ends_the_safe_command_is_published_once(
    px4: Autopilot, armed: bool, position: bool
) -> None:
    fly(px4)
    assert px4.step(THERE, armed=armed, position=position) == [SAFE]
    assert px4.step(THERE, armed=armed, position=position) == []
    assert px4.step(THERE) == [HOVER]  # From a reset state.


@needs_compilers
def test_stopping_the_module_in_flight_publishes_the_safe_command(px4: Autopilot) -> None:
    fly(px4)
    px4.library.shim_command(b"stop")
    assert px4.step(THERE) == [SAFE]
    assert px4.interval == 0


@needs_compilers
def test_a_setpoint_from_before_the_take_over_is_refused(px4: Autopilot) -> None:
    px4.setpoint(age=1)  # 1 us before the next step, which takes over.
    assert px4.step() == [SAFE]
    assert px4.step() == [SAFE]
    assert px4.step(THERE) == [HOVER]
    px4.step(THERE, position=False)
    assert px4.step() == [SAFE]  # The old one again, after a second take-over.


@needs_compilers
@pytest.mark.parametrize(
    "left_out",
    [(NOT,) * 6, (NOT, 0.0, -1.0, NOT, NOT, NOT), (0.0, 0.0, NOT, 0.0, 0.0, NOT), (0.0, math.inf, -1.0, 0.0, NOT, 0.0)],
)
def test_a_mode_that_controls_neither_position_nor_velocity_is_refused(
    px4: Autopilot, left_out: tuple[float, ...]
) -> None:
    assert px4.step(left_out) == [SAFE]
    assert px4.step(left_out) == [SAFE]
    assert px4.step(THERE) == [HOVER]


@needs_compilers
def test_land_sinks_with_the_velocity_that_it_is_given(px4: Autopilot) -> None:
    """Land leaves z out and gives a speed down: the motors keep turning, and the target sinks below the vehicle."""
    hovering = speed(fly(px4))
    land = (0.0, 0.0, NOT, 0.0, 0.0, 0.5)
    sinking = [speed(px4.step(land)[0]) for _ in range(300)]
    assert min(sinking) > 0.0
    assert all(after <= before + 0.01 for before, after in pairwise(sinking))
    # 0.5 m/s for 0.1 s, at 400 rad/s per metre and with 5 % of memory.
    assert sinking[50] - sinking[60] == pytest.approx(400.0 * 0.05 * 1.05, rel=0.05)
    # At most max_position_error below the vehicle, which does not follow.
    assert hovering - sinking[-1] == pytest.approx(400.0 * 0.8 * 1.05, rel=0.02)


@needs_compilers
def test_an_axis_that_is_not_controlled_keeps_its_target(px4: Autopilot) -> None:
    there = (0.0, 0.0, -1.2, 0.0, 0.0, 0.0)
    flying = fly(px4, there)
    assert fly(px4, (NOT,) * 6) == pytest.approx(flying, rel=1e-4)
    assert fly(px4, (0.0, 0.0, NOT, 0.0, 0.0, NOT)) == pytest.approx(flying, rel=1e-4)
    # The sticks move: x and y have a velocity instead of a position.
    assert fly(px4, (NOT, NOT, -1.2, 1.0, -1.0, 0.0)) == pytest.approx(flying, rel=1e-4)


@needs_compilers
def test_a_setpoint_that_grows_old_holds_the_target(px4: Autopilot) -> None:
    fly(px4)
    px4.setpoint((0.0, 0.0, NOT, 0.0, 0.0, 0.5))
    speeds = [speed(px4.step()[0]) for _ in range(120)]
    assert speeds[20] - speeds[30] > 5.0  # Fresh up to 0.5 s: it sinks.
    assert speeds[90] == pytest.approx(speeds[119], rel=1e-5)
    assert speeds[119] > speeds[20] - 400.0 * 0.5 * 0.35 * 1.05


@needs_compilers
@pytest.mark.parametrize("missing", [1, 2, 4, 8])
def test_an_estimate_that_px4_does_not_call_valid_gives_the_safe_command(px4: Autopilot, missing: int) -> None:
    fly(px4)
    assert px4.step(THERE, valid=15 - missing) == [SAFE]
    assert px4.step(THERE)[0][0] > 0.0


@needs_compilers
def test_an_old_estimate_gives_the_safe_command(px4: Autopilot) -> None:
    fly(px4)
    assert px4.step(THERE, age=99_000)[0] != SAFE
    assert px4.step(THERE, age=100_000) == [SAFE]


@needs_compilers
@pytest.mark.parametrize("base", BASES)
def test_a_corrupted_weight_never_starts(base: Base, tmp_path: Path) -> None:
    bad = stand_in.write_generated(tmp_path / "bad", stand_in.manifest(), ("-150.0f", "-151.0f"))
    library = load(write_firmware(bad, tmp_path / "module", "px4"), base, tmp_path / "build")
    with Autopilot(library) as px4:
        assert not px4.started
        assert px4.interval == 0


@needs_compilers
@pytest.mark.parametrize("base", BASES)
def test_stacks_that_are_too_small_do_not_compile(base: Base, generated: Path, tmp_path: Path) -> None:
    folder = write_firmware(generated, tmp_path / "module", "px4")
    assert check(folder, base).stderr == ""
    assert "raise ROBO_RL_STACK_MAIN in CMakeLists.txt" in check(folder, base, "-DROBO_RL_STACK_MAIN=1024").stderr
    assert "stack of PX4's wq:rate_ctrl is too small" in check(folder, base, "-DRATE_CTRL_BYTES=1800").stderr


@needs_cmake
def test_the_build_asks_for_the_stack_that_is_checked_and_compiles_every_file(generated: Path, tmp_path: Path) -> None:
    folder = write_firmware(generated, tmp_path / "module", "px4")
    script = tmp_path / "module.cmake"
    script.write_text(
        "function(px4_add_module)\n"
        '  cmake_parse_arguments(A "" "MODULE;MAIN;STACK_MAIN" "COMPILE_FLAGS;INCLUDES;SRCS;DEPENDS" ${ARGN})\n'
        '  message("${A_STACK_MAIN}|${A_COMPILE_FLAGS}|${A_SRCS}")\n'
        f"endfunction()\ninclude({folder}/CMakeLists.txt)\n"
    )
    said = subprocess.run(["cmake", "-P", str(script)], capture_output=True, text=True, check=True).stderr
    stack, flags, sources = said.strip().split("|")
    assert int(stack) == STACK_MAIN
    assert f"-DROBO_RL_STACK_MAIN={STACK_MAIN}" in flags.split(";")
    present = {f"src/{path.name}" for path in (folder / "src").glob("*.c")} | {"RoboRlPolicy.cpp"}
    assert set(sources.split(";")) == present


def bytes_of(name: str) -> int:
    """A number of bytes in RoboRlPolicy.cpp."""
    text = (HERE / "px4" / "RoboRlPolicy.cpp").read_text(encoding="utf-8")
    found = re.search(rf"{name} = (\d+);", text)
    assert found is not None
    return int(found.group(1))


@needs("arm-none-eabi-gcc", "arm-none-eabi-g++")
@pytest.mark.parametrize("rate", [None, 500.0])
def test_the_frames_on_the_chip_are_at_most_what_the_checks_of_the_stacks_assume(
    report: ExportReport, rate: float | None, tmp_path: Path
) -> None:
    folder = write_firmware(report.path, tmp_path / "module", "px4", rate=rate)
    header = (folder / "src" / "policy.h").read_text()
    scratch = int(re.findall(r"POLICY_SCRATCH_BYTES (\d+)u", header)[0])
    state = 4 * int(re.findall(r"POLICY_STATE_FLOATS (\d+)u", header)[0])
    state = 2 * state + 4 if rate else state  # With sub-steps, a pool as large as the state, and a count.
    common = [*MCU_FLAGS, "-O2", "-fstack-usage", "-c"]
    sources = [str(path) for path in (folder / "src").glob("*.c")]
    subprocess.run(["arm-none-eabi-gcc", *common, f"-I{folder}/src", *sources], cwd=tmp_path, check=True)
    module = ["arm-none-eabi-g++", *common, "-fno-exceptions", "-fno-rtti", *FLAGS, "-DROBO_RL_STACK_MAIN=4096"]
    command = [*module, *includes(folder, "descriptor"), f"{folder}/RoboRlPolicy.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)

    def frames(name: str) -> list[int]:
        return sorted(int(line.split("\t")[1]) for line in (tmp_path / f"{name}.su").read_text().splitlines())

    print(
        scratch,
        state,
        {name: frames(name) for name in ("policy", "policy_selftest", "RoboRlPolicy", "target", "guard", "motors")},
    )
    step = sum(frames("policy")[-4:])  # Calls are at most four deep.
    assert step <= bytes_of("STEP_FRAMES") + scratch
    assert sum(frames("policy_selftest")) <= 2 * state + 256
    # The rest is the work queue's and the command's own, with a saved register context of 200 bytes.
    assert sum(frames("RoboRlPolicy")) + sum(frames("target")) <= bytes_of("RUN_FRAMES") - 500
    assert bytes_of("MAIN_FRAMES") >= 256 + 512
