"""Elementary functions in C: near float64 everywhere, NaN for NaN, the same bits on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.codegen.c_math import MATH, dependencies
from deploy.errors import BundleError
from deploy.mcu.emulator import build_m4f, run_on_m4f
from deploy.mcu.host import run_on_host
from tests.deploy.codegen.harness import undefined_symbols
from tests.deploy.codegen.kernels.programs import STRICT, Floats, functions
from tests.mcu_tools import needs_arm, needs_clang, needs_gcc, needs_qemu

EXACT: dict[str, Callable[[Any], Any]] = {
    "tanh": np.tanh,
    "exp": np.exp,
    "elu": lambda x: np.where(x > 0.0, x, np.expm1(x)),
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "log": np.log,
    "softplus": lambda x: np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))),
    "relu": lambda x: np.maximum(x, 0.0),
    "sqrt": np.sqrt,
}
NAMES = list(EXACT)
RELATIVE = {"tanh": 2.5e-7, "relu": 0.0, "sqrt": 2.0**-24}
"""Largest relative errors; 3e-7 for the others."""
ABSOLUTE = {"tanh": 1.4e-7, "sigmoid": 1.2e-7}


def dense_samples() -> Floats:
    """Both signs of every exponent with 60 fractions each, the range of networks densely, and the borders."""
    rng = np.random.default_rng(0)
    patterns = (np.arange(255, dtype=np.uint32)[:, None] << 23) + rng.integers(0, 1 << 23, (255, 60), dtype=np.uint32)
    wide = patterns.ravel().view(np.float32)
    near = rng.uniform(-20.0, 20.0, 30_000).astype(np.float32)
    borders = np.array([0.0, np.inf, 1.0, 0.55, 9.0554, 18.0, 87.4, 88.73, 103.9, 2.0**-126, 2.0**-149], np.float32)
    beside = np.concatenate([borders, np.nextafter(borders, np.float32(np.inf)), np.nextafter(borders, np.float32(0))])
    return np.concatenate([wide, -wide, near, beside, -beside, np.full(1, np.nan, np.float32)]).astype(np.float32)[
        :, None
    ]


SAMPLES = dense_samples()


@pytest.fixture(scope="module")
def found() -> Floats:
    """Shape [samples, functions], compiled without optimisation."""
    return run_on_host(functions(NAMES), SAMPLES, len(NAMES), ("-O0", "-DPOLICY_PORTABLE"))


@needs_gcc
@pytest.mark.parametrize("name", NAMES)
def test_values_are_near_float64(name: str, found: Floats) -> None:
    with np.errstate(all="ignore"):
        exact = EXACT[name](SAMPLES[:, 0].astype(np.float64))
        as_float = exact.astype(np.float32)
    column = found[:, NAMES.index(name)]
    np.testing.assert_array_equal(np.isnan(column), np.isnan(as_float))
    np.testing.assert_array_equal(np.isinf(column), np.isinf(as_float))
    known = np.isfinite(as_float)
    error = np.abs(column[known].astype(np.float64) - exact[known])
    # Below the normal numbers a float has fewer digits: one step of the smallest is allowed there, and for sigmoid,
    # whose denominator overflows, all of them.
    floor = 2.0**-126 if name == "sigmoid" else 2.0**-149
    assert (error <= RELATIVE.get(name, 3e-7) * np.abs(exact[known]) + floor).all()
    if name in ABSOLUTE:
        assert error.max() <= ABSOLUTE[name]


@needs_gcc
def test_bounded_functions_keep_their_bounds(found: Floats) -> None:
    for name, low, high in (
        ("tanh", -1.0, 1.0),
        ("sigmoid", 0.0, 1.0),
        ("elu", -1.0, np.inf),
        ("softplus", 0.0, np.inf),
    ):
        column = found[:-1, NAMES.index(name)]
        assert low <= column.min() and column.max() <= high


@needs_arm
@needs_gcc
@needs_qemu
def test_the_chip_agrees_bit_for_bit(found: Floats) -> None:
    some = np.random.default_rng(2).permutation(len(SAMPLES))[:20_000]
    chip = run_on_m4f(functions(NAMES), SAMPLES[some], len(NAMES), (*STRICT, "-Os")).outputs
    known = ~np.isnan(found[some])
    np.testing.assert_array_equal(np.isnan(chip), ~known)
    np.testing.assert_array_equal(chip[known].view(np.uint32), found[some][known].view(np.uint32))


@needs_gcc
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        # Out-of-range shifts or conversions would be the sanitizer's finding.
        ("gcc", ("-fsanitize=undefined", "-fno-sanitize-recover=all")),
        pytest.param("clang", ("-Os",), marks=needs_clang),
    ],
)
def test_compilers_agree_bit_for_bit(compiler: str, flags: tuple[str, ...], found: Floats) -> None:
    all_flags = (*STRICT, "-O2", "-march=native", *flags)
    other = run_on_host(functions(NAMES), SAMPLES, len(NAMES), all_flags, compiler)
    known = ~np.isnan(found)
    np.testing.assert_array_equal(other[known].view(np.uint32), found[known].view(np.uint32))


@needs_arm
def test_nothing_is_taken_from_a_library(tmp_path: Path) -> None:
    assert undefined_symbols(build_m4f(functions(NAMES), tmp_path, ("-O2",))) == set()


def test_functions_come_after_those_they_use() -> None:
    for name in MATH:
        order = dependencies([name])
        assert order[-1] == name
        for position, used in enumerate(order):
            called = {other for other in MATH if f"policy_{other}(" in MATH[used]}
            assert called <= set(order[: position + 1])
    with pytest.raises(BundleError, match="no C function for 'sinh'"):
        dependencies(["tanh", "sinh"])
