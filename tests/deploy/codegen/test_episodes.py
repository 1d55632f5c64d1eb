"""Whole recorded episodes through the C of a bundle: onnxruntime's commands, and one set of bits everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.codegen.emit_selftest import ROUNDED_TOLERANCE
from deploy.codegen.sources import inward
from deploy.mcu.emulator import build_m4f
from deploy.toolchain import run_tool
from tests.deploy.codegen.conftest import InC, in_c
from tests.deploy.codegen.harness import STRICT, Floats, floats_out, same_bits, step_all, undefined_symbols
from tests.mcu_tools import needs_arm, needs_clang, needs_cppcheck, needs_gcc, needs_qemu

CRAZYFLIE = (
    *("-std=gnu11", "-Os", "-Werror", "-Wall", "-Wmissing-braces", "-Wdouble-promotion", "-Wfloat-equal"),
    "-Wcast-align",
)
EVERY_BUNDLE = pytest.mark.parametrize("name", ["hover", "tracking", "remembering"])


@pytest.fixture
def given(request: pytest.FixtureRequest, name: str) -> InC:
    found: InC = request.getfixturevalue(name)
    return found


def flown(given: InC, compiler: str = "gcc", flags: tuple[str, ...] = ("-O2",)) -> Floats:
    return step_all(given.texts, given.bundle.manifest, given.sensors, given.reset, compiler=compiler, flags=flags)


def expected(given: InC) -> tuple[Floats, Floats]:
    """Status and commands of a controller that holds the C's contract over onnxruntime."""
    manifest, policy = given.bundle.manifest, given.bundle.policy.with_substeps(1)
    low, high = (inward([getattr(s, k) for s in manifest.sensors], k == "low") for k in ("low", "high"))
    command_low, command_high = (
        inward([getattr(c, k) for c in manifest.commands], k == "low") for k in ("low", "high")
    )
    safe = np.array([value for command in manifest.commands for value in command.safe], np.float32)
    sizes = np.cumsum([s.dim for s in manifest.sensors])[:-1]
    rows, status = [], []
    for sensors, reset in zip(given.sensors, given.reset, strict=True):
        if reset:
            policy.reset()
        if not ((sensors >= low) & (sensors <= high)).all():
            rows.append(safe)
            status.append(1.0)
            continue
        parts = np.split(sensors, sizes)
        commands = policy.step({s.name: part for s, part in zip(manifest.sensors, parts, strict=True)})
        row = np.concatenate([commands[c.name] for c in manifest.commands])
        rows.append(np.clip(row, command_low, command_high))
        status.append(0.0)
    return np.array(status, np.float32), np.stack(rows)


@needs_gcc
@EVERY_BUNDLE
def test_commands_are_onnxruntimes(given: InC) -> None:
    found = flown(given)
    status, commands = expected(given)
    np.testing.assert_array_equal(found[:, 0], status)
    spans = np.array([b - a for c in given.bundle.manifest.commands for a, b in zip(c.low, c.high, strict=True)])
    # The state is carried from step to step, so that rounding may grow on the way.
    assert np.abs((found[:, 1 : 1 + commands.shape[1]] - commands) / spans).max() <= 5e-6
    assert commands.std(axis=0).min() > 0.0


@needs_gcc
@EVERY_BUNDLE
@pytest.mark.parametrize("flags", [("-O0", *STRICT), ("-Os", *STRICT), ("-O3", "-march=native"), CRAZYFLIE])
def test_gcc_gives_one_set_of_bits_without_a_warning(given: InC, flags: tuple[str, ...]) -> None:
    assert same_bits(flown(given, flags=flags), flown(given))


@needs_gcc
@needs_clang
@EVERY_BUNDLE
@pytest.mark.parametrize("flags", [("-O0", *STRICT), ("-O3", "-march=native"), CRAZYFLIE])
def test_clang_gives_the_same_bits_without_a_warning(given: InC, flags: tuple[str, ...]) -> None:
    assert same_bits(flown(given, "clang", flags), flown(given))


@needs_gcc
@EVERY_BUNDLE
def test_sanitizers_find_nothing(given: InC) -> None:
    flags = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    assert same_bits(flown(given, flags=flags), flown(given))


@needs_gcc
@needs_arm
@needs_qemu
@EVERY_BUNDLE
def test_the_emulated_m4f_flies_the_same_bits(given: InC, tmp_path: Path) -> None:
    program = build_m4f(given.texts, tmp_path)
    cases = np.concatenate([given.reset[:, None].astype(np.float32), given.sensors], axis=1)
    cases[-1, 0] = 2.0
    found = program.run(cases, floats_out(given.bundle.manifest))
    assert same_bits(found.outputs[:-1], flown(given)[:-1])
    assert found.outputs[-1, 0] == 0.0, "the self-test fails on the chip"
    own_symbols = {symbol for symbol in program.sizes().symbols if symbol.startswith("policy_")}
    libraries = undefined_symbols(program) - own_symbols
    assert libraries <= {"memcpy", "memmove", "memset", "memcmp"}
    report = given.report
    assert report.measured is not None
    own = ("mcu_case", "policy_selftest", "state", "expected", "sensors")
    code = sum(
        size for symbol, size in program.sizes().symbols.items() if symbol not in own and "_weights_" not in symbol
    )
    assert code <= 4096
    assert found.stack_bytes <= 3072
    assert report.scratch_bytes <= found.stack_bytes <= report.measured.stack + 256


@needs_cppcheck
@EVERY_BUNDLE
def test_cppcheck_finds_nothing(given: InC, tmp_path: Path) -> None:
    for name, text in given.files.items():
        (tmp_path / name).write_text(text)
    command = ["cppcheck", "-q", "--error-exitcode=1", "--std=c99", "--enable=warning,style,performance,portability"]
    # The header's functions have their callers elsewhere, and each file is checked alone.
    run_tool([*command, "--inline-suppr", "policy.c", "policy_selftest.c"], tmp_path, 60.0)


@needs_gcc
@pytest.mark.parametrize(("kernel", "tolerance"), [("asm", 0.0), ("int8", ROUNDED_TOLERANCE)])
def test_another_kernel_flies_too(hover: InC, tmp_path: Path, kernel: str, tolerance: float) -> None:
    other = in_c(hover.bundle.path, tmp_path / "c", kernel=kernel)
    found, wanted = flown(other, flags=("-O2", *STRICT)), flown(hover)
    span = max(hover.bundle.manifest.spans()["rotor_speed"])
    # Up to the second reset: without a closed loop, the sample's own actions amplify differences.
    assert np.abs(found[:3, 1:5] - wanted[:3, 1:5]).max() / span <= tolerance
    check = step_all(other.texts, other.bundle.manifest, other.sensors[:1], [2])
    assert check[0, 0] == 0.0
