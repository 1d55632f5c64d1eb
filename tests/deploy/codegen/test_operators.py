"""Every operator as C: near onnxruntime, and the same bits from every compiler, optimisation and processor."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from deploy.codegen.sources import Design
from deploy.mcu.emulator import run_on_m4f
from deploy.mcu.host import run_on_host
from tests.deploy.codegen.harness import STRICT, Floats, design_for, files, fixed, floats_out, same_bits, session
from tests.deploy.codegen.operator_cases import CASES, everything
from tests.mcu_tools import needs_arm, needs_clang, needs_gcc, needs_qemu

ROWS = 12


@cache
def design() -> Design:
    return design_for(everything())


def inputs() -> Floats:
    """Sensors of every size up to some hundred, zeros among them, each row after a reset."""
    count = sum(sensor.dim for sensor in design().manifest.sensors)
    values = np.random.default_rng(5).normal(size=(ROWS, count)).astype(np.float32)
    values[1] *= 0.01
    values[2] *= 5.0
    values[3, ::3] = 0.0
    return np.concatenate([np.zeros((ROWS, 1), np.float32), values], axis=1)


@cache
def outputs(compiler: str, *flags: str) -> Floats:
    # Sanitizers are slow on a file of this size.
    found = run_on_host(files(design()), inputs(), floats_out(design().manifest), flags, compiler, timeout=300.0)
    assert (found[:, 0] == 0.0).all()
    return found


@cache
def expected() -> dict[str, Floats]:
    """onnxruntime's results by output, one row for each of the inputs."""
    model = everything()
    runtime, rows = session(model.build()), inputs()[:, 1:]
    sizes = np.cumsum([sensor.dim for sensor in design().manifest.sensors])[:-1]
    found: dict[str, list[Floats]] = {name: [] for name in model.outputs}
    for row in rows:
        parts = zip(model.inputs.items(), np.split(row, sizes), strict=True)
        results = runtime.run(None, {name: part.reshape(fixed(shape)) for (name, shape), part in parts})
        for name, result in zip(model.outputs, results, strict=True):
            found[name].append(np.asarray(result, np.float32).reshape(-1))
    return {name: np.stack(values) for name, values in found.items()}


@needs_gcc
@pytest.mark.parametrize("name", CASES)
def test_the_operator_agrees_with_onnxruntime(name: str) -> None:
    wanted = expected()[f"result_{name}"]
    names = [command.name for command in design().manifest.commands]
    start = 1 + sum(c.dim for c in design().manifest.commands[: names.index(f"result_{name}")])
    found = outputs("gcc", "-O2", *STRICT)[:, start : start + wanted.shape[1]]
    scale = np.maximum(np.abs(wanted), 1.0)
    assert np.abs((found - wanted) / scale).max() <= 2e-6
    assert wanted.std() > 0.0


@needs_gcc
@pytest.mark.parametrize("flags", [("-O0",), ("-Os", "-DPOLICY_PORTABLE"), ("-O3", "-march=native")])
def test_gcc_gives_the_same_bits_whatever_it_optimises(flags: tuple[str, ...]) -> None:
    assert same_bits(outputs("gcc", *flags), outputs("gcc", "-O2", *STRICT))


@needs_gcc
@needs_clang
@pytest.mark.parametrize("flags", [("-O0", *STRICT), ("-O3", "-march=native")])
def test_clang_gives_the_same_bits(flags: tuple[str, ...]) -> None:
    assert same_bits(outputs("clang", *flags), outputs("gcc", "-O2", *STRICT))


@needs_gcc
@needs_arm
@needs_qemu
def test_the_emulated_m4f_gives_the_same_bits() -> None:
    found = run_on_m4f(files(design()), inputs(), floats_out(design().manifest))
    assert same_bits(found.outputs, outputs("gcc", "-O2", *STRICT))


@needs_gcc
def test_sanitizers_find_nothing() -> None:
    flags = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DPOLICY_PORTABLE")
    assert same_bits(outputs("gcc", *flags), outputs("gcc", "-O2", *STRICT))
