"""What is written, what is refused, and that every C file keeps to the rules on every compiler."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import BundleError
from deploy.firmware.build import (
    BIN,
    ELF,
    HERE,
    WARNINGS,
    Target,
    build_firmware,
    policy_in_c,
    target_files,
    write_firmware,
)
from deploy.firmware.config import pilot_config, thrust_header
from deploy.toolchain import MCU_FLAGS
from policies.specs import CommandSpec, SafetyEnvelope
from robo_rl.cli.main import main
from tests.deploy.firmware import stand_in
from tests.mcu_tools import needs_arm, needs_clang, needs_cmake, needs_cppcheck, needs_gcc

FOLDERS: tuple[Target, ...] = ("crazyflie", "cmake", "zephyr", "px4")
BARE = "startup.c", "clock.c", "uart_main.c", "bench_board.c", "semihosting.c", "lockstep_main.c"
FOREIGN = frozenset({"app.c", "main.c"})
"""C that needs headers that are not available here."""


@pytest.fixture(scope="module")
def sources(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every C file of every target that compiles without external headers, in one folder."""
    folder = tmp_path_factory.mktemp("sources")
    policy = policy_in_c(generated)
    everything = target_files(policy, "stm32f405", "lockstep") | target_files(policy, "stm32f405", "uart")
    for target in FOLDERS:
        everything |= target_files(policy, target)
    for name, data in everything.items():
        if name.startswith("src/"):
            (folder / Path(name).name).write_bytes(data)
    for name in FOREIGN:
        (folder / name).unlink(missing_ok=True)
    return folder


def warnings(sources: Path, *command: str, names: list[str], out: Path) -> str:
    """What a compiler prints about these files; "" if it compiles them all without a warning."""
    paths = [str(sources / name) for name in names]
    finished = subprocess.run([*command, f"-I{sources}", "-c", *paths], capture_output=True, text=True, cwd=out)
    failed = f"exit code {finished.returncode}\n" if finished.returncode else ""
    return failed + finished.stdout + finished.stderr


def portable(sources: Path) -> list[str]:
    names = sorted(path.name for path in sources.glob("*.c") if path.name not in BARE)
    assert len(names) > 8
    return names


STRICT = (*WARNINGS, "-Wfloat-equal", "-Wcast-align", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes")


@needs_gcc
@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_gcc_finds_nothing(sources: Path, level: str, tmp_path: Path) -> None:
    assert warnings(sources, "gcc", *STRICT, level, names=portable(sources), out=tmp_path) == ""


@needs_clang
def test_clang_finds_nothing(sources: Path, tmp_path: Path) -> None:
    assert warnings(sources, "clang", *STRICT, "-O2", names=portable(sources), out=tmp_path) == ""


@needs_arm
def test_the_cross_compiler_finds_nothing(sources: Path, tmp_path: Path) -> None:
    names = [*portable(sources), *BARE]
    assert warnings(sources, "arm-none-eabi-gcc", *MCU_FLAGS, *WARNINGS, "-O2", names=names, out=tmp_path) == ""


@needs_arm
def test_the_flags_of_the_crazyflie_find_nothing(sources: Path, tmp_path: Path) -> None:
    flags = ("-Os", "-Werror", "-Wall", "-Wmissing-braces", "-Wdouble-promotion", "-std=gnu11")
    command = ("arm-none-eabi-gcc", *MCU_FLAGS, *flags)
    assert warnings(sources, *command, names=portable(sources), out=tmp_path) == ""


@needs_gcc
def test_a_warning_is_found(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "rounds.c").write_text("float rounds(double x);\nfloat rounds(double x) { return x; }\n")
    found = warnings(tmp_path, "gcc", *STRICT, names=["rounds.c"], out=tmp_path)
    assert found.startswith("exit code 1\n")
    assert "float-conversion" in found


@needs_cppcheck
def test_cppcheck_finds_nothing(sources: Path) -> None:
    names = [str(path) for path in sorted(sources.glob("*.c")) if not path.name.startswith("policy")]
    quiet = ("--suppress=missingIncludeSystem", "--suppress=unusedFunction", "--suppress=unusedStructMember")
    arguments = ("--enable=all", "--std=c99", "--error-exitcode=1", "--quiet", "--inline-suppr", *quiet)
    finished = subprocess.run(
        ["cppcheck", *arguments, f"-I{sources}", *names], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@needs_arm
def test_the_image_is_the_same_every_time_and_make_builds_it_again(
    generated: Path, lockstep_image: Path, tmp_path: Path
) -> None:
    again = build_firmware(generated, tmp_path / "again")
    assert again.read_bytes() == lockstep_image.read_bytes()
    if shutil.which("make") is not None:
        (again.parent / ELF).unlink()
        subprocess.run(["make", "-s"], cwd=again.parent, check=True)
        assert (again.parent / BIN).read_bytes() == (lockstep_image.parent / BIN).read_bytes()


@needs_arm
def test_older_firmware_is_replaced_and_anything_else_is_not(
    generated: Path, lockstep_image: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(lockstep_image.parent, tmp_path / "out"))
    build_firmware(generated, out, link="uart")
    assert (out / "src" / "uart_main.c").exists()
    assert not (out / "src" / "lockstep_main.c").exists()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match=r"holds 'notes.txt', which is not part of firmware for stm32f405; choose"):
        build_firmware(generated, out)
    assert (out / "notes.txt").read_text() == "mine"


@needs_arm
def test_a_policy_that_does_not_compile_leaves_the_folder_as_it_was(lockstep_image: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(lockstep_image.parent, tmp_path / "out"))
    before = hashlib.sha256((out / ELF).read_bytes()).hexdigest()
    broken = stand_in.write_generated(tmp_path / "broken", stand_in.manifest(), ("return POLICY_OK;", "return;"))
    with pytest.raises(BundleError, match=r"^arm-none-eabi-gcc failed with exit code 1: src/policy.c:\d+:\d+: error: "):
        build_firmware(broken, out)
    assert hashlib.sha256((out / ELF).read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_missing_compiler_is_named_with_how_to_install_it(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BundleError, match="arm-none-eabi-gcc is not installed; `make mcu-tools` installs it"):
        build_firmware(generated, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", FOLDERS)
def test_a_folder_for_another_build_needs_no_compiler(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = write_firmware(generated, tmp_path / "out", target)
    write_firmware(generated, folder, target)  # It may replace what it wrote itself.
    text = (folder / "README.md").read_text()
    assert stand_in.SHA256 in text
    assert "robo-rl's tests" in text  # What is tested, where nothing is built here.
    assert (folder / "src" / "policy.c").exists()


def test_the_command_line_writes_a_folder_and_reports_mistakes(
    generated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["firmware", str(generated), str(out), "--target", "cmake"]) == 0
    assert "firmware for cmake, not compiled here" in " ".join(capsys.readouterr().out.split())
    assert main(["firmware", str(tmp_path / "none"), str(out), "--target", "cmake"]) == 2
    assert "does not exist; expected the folder that `robo-rl export` wrote" in capsys.readouterr().err
    assert main(["firmware", str(generated), str(tmp_path / "new"), "--kernel", "asm"]) == 2
    assert "is generated C already" in capsys.readouterr().err


def test_c_without_its_manifest_or_of_another_bundle_is_refused(tmp_path: Path) -> None:
    folder = stand_in.write_generated(tmp_path / "generated", stand_in.manifest())
    other = replace(stand_in.manifest().identity, policy_sha256="0" * 64)
    with pytest.raises(BundleError, match=r"policy.h is not of the manifest's policy"):
        policy_in_c(folder, manifest=stand_in.manifest(identity=other))
    slow = replace(stand_in.manifest().timing, period=0.02)
    with pytest.raises(BundleError, match=r"another period than the manifest's 20000 us"):
        policy_in_c(folder, manifest=stand_in.manifest(timing=slow))
    (folder / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"lacks manifest.json; copy the bundle's there"):
        policy_in_c(folder)
    (folder / "policy.h").unlink()
    with pytest.raises(BundleError, match=r"lacks policy.h; generate it again"):
        policy_in_c(folder, manifest=stand_in.manifest())


THRUST = CommandSpec("thrust", 2, "N", (0.0,) * 2, (1.0,) * 2, 1.0, ("left", "right"), (0.0,) * 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "velocity"}, "the firmware flies rotorcraft, this bundle is of kind velocity"),
        ({"commands": (THRUST,)}, r"drives four motors with one command, this bundle has thrust\[2\]"),
        ({"safety": SafetyEnvelope(1.0, 0.1, 0.1)}, "has no tilt, geofence, speed or position error"),
        (
            {"safety": replace(stand_in.manifest().safety, imu=(0.0, 1.0, 0.0, 0.0))},
            "its IMU is turned on the robot, and the firmware takes readings along the body's own axes",
        ),
        ({"sensors": (stand_in.sensor("voltage", 1, "V", "none", 5.0),)}, "does not provide the sensor 'voltage'"),
        ({"sensors": (stand_in.sensor("position", 3, "cm", "world", 5.0),)}, "in 'cm', the firmware provides 3 in 'm'"),
        ({"sensors": (stand_in.sensor("angular_velocity", 3, "rad/s", "world", 5.0),)}, "the firmware provides 'body'"),
        (
            {"sensors": (stand_in.sensor("orientation", 4, "1", "world", 1.1, "target"),)},
            "can't be relative to the target",
        ),
    ],
)
def test_a_bundle_that_the_pilot_can_t_fly_is_refused_in_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message) as caught:
        pilot_config(stand_in.manifest(**changes))
    assert "\n" not in str(caught.value)


def test_a_policy_that_reads_its_target_is_given_it_and_its_bounds() -> None:
    target = stand_in.sensor("target_position", 3, "m", "world", 9.0)
    velocity = stand_in.sensor("target_velocity", 3, "m/s", "world", 7.0)
    text = pilot_config(stand_in.manifest(sensors=(*stand_in.SENSORS[1:], target, velocity)))
    assert "sensors->target_position[2] = setpoint->position[2];" in text
    assert "sensors->target_velocity[0] = setpoint->velocity[0];" in text
    assert f"PILOT_TARGET_POSITION_HIGH {{{float.hex(9.0).replace('2000000000000', '2')}f" in text
    assert "PILOT_FOLLOWS_SETPOINT 1" in text


def test_numbers_go_into_the_header_to_the_last_bit() -> None:
    text = pilot_config(stand_in.manifest(rate_limit=0.1))
    literal = next(line.split()[-1] for line in text.splitlines() if line.startswith("#define PILOT_RATE_LIMIT"))
    assert float.fromhex(literal.removesuffix("f")) == ctypes.c_float(0.1).value


def test_a_high_fence_gets_a_longer_descent() -> None:
    safety = replace(stand_in.manifest().safety, geofence_high=(2.0, 2.0, 30.0))
    assert "PILOT_DESCENT_US 105000000u" in pilot_config(stand_in.manifest(safety=safety))


@pytest.mark.parametrize("thrust", [(0.0, 0.0, 0.0), (-0.1, 0.0, 1.0), (0.0, 0.0, float("inf"))])
def test_a_thrust_polynomial_that_makes_no_sense_is_refused(thrust: tuple[float, float, float]) -> None:
    with pytest.raises(BundleError, match="expected numbers of at least 0 and not all 0"):
        thrust_header(stand_in.manifest(), thrust)


@needs_gcc
@needs_cmake
def test_cmake_builds_the_library_and_its_test_passes(generated: Path, tmp_path: Path) -> None:
    folder = write_firmware(generated, tmp_path / "library", "cmake")
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", str(folder), "-B", str(build), "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", str(build)],
        ["ctest", "--test-dir", str(build), "--no-tests=error"],
    ):
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr


@needs_gcc
@needs_cmake
def test_the_library_s_test_fails_on_a_corrupted_weight(tmp_path: Path) -> None:
    bad = stand_in.write_generated(tmp_path / "bad", stand_in.manifest(), ("-150.0f", "-151.0f"))
    folder = write_firmware(bad, tmp_path / "library", "cmake")
    build = tmp_path / "build"
    subprocess.run(["cmake", "-S", str(folder), "-B", str(build)], capture_output=True, check=True)
    subprocess.run(["cmake", "--build", str(build)], capture_output=True, check=True)
    assert subprocess.run(["ctest", "--test-dir", str(build)], capture_output=True, check=False).returncode != 0


def test_every_template_says_what_was_not_built() -> None:
    for target in FOLDERS:
        assert (HERE / target / "README.md").is_file()
