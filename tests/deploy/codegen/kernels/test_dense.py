"""Dense layers in C: every kernel, compiler and optimisation gives the same bits, near those of float64."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.codegen.kernels.base import KERNELS
from deploy.codegen.kernels.packed import blocks, pack
from deploy.mcu.emulator import run_on_m4f
from deploy.mcu.host import run_on_host
from tests.deploy.codegen.kernels.programs import STRICT, Floats, expected, in_a_row, random_layers, side_by_side
from tests.mcu_tools import needs_arm, needs_clang, needs_gcc, needs_qemu

SHAPES = ((1, 1), (2, 3), (3, 4), (4, 8), (5, 7), (6, 12), (9, 17), (31, 13), (32, 8))
LAYERS = random_layers(SHAPES)
EVERY_KERNEL = pytest.mark.parametrize("kernel", sorted(KERNELS))


def cases(inputs: int, count: int = 6) -> Floats:
    """Inputs of several sizes; the last but one all zeros, the last with a NaN that must reach every output."""
    values = np.random.default_rng(1).normal(size=(count, inputs)).astype(np.float32)
    values[1] *= 1e-3
    values[2] *= 1e3
    values[-2] = 0.0
    values[-1, 0] = np.nan
    return values


INPUTS = cases(32)


def reference(kernel: str) -> Floats:
    """What the portable C of a kernel gives on this machine without optimisation."""
    sources, outputs = side_by_side(kernel, LAYERS)
    return run_on_host(sources, INPUTS, outputs, ("-O0", "-DPOLICY_PORTABLE"))


def assert_same_bits(found: Floats, wanted: Floats) -> None:
    """Equal bits, but for the payload of NaNs, which no policy lets out."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(found[known].view(np.uint32), wanted[known].view(np.uint32))


@pytest.mark.parametrize("outputs", range(1, 30))
def test_blocks_cover_every_row_once(outputs: int) -> None:
    assert [row for start, rows in blocks(outputs) for row in range(start, start + rows)] == list(range(outputs))
    layer = random_layers([(3, outputs)])[0]
    packed = pack(layer.weight, layer.bias)
    assert sorted(packed) == sorted([*layer.weight.ravel(), *layer.bias])


@needs_gcc
@EVERY_KERNEL
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("gcc", ("-Os", "-march=native")),
        ("gcc", ("-O3", "-fsanitize=address,undefined", "-fno-sanitize-recover")),
        pytest.param("clang", ("-O2", "-march=native"), marks=needs_clang),
    ],
)
def test_compilers_agree_bit_for_bit(kernel: str, compiler: str, flags: tuple[str, ...]) -> None:
    sources, outputs = side_by_side(kernel, LAYERS)
    assert_same_bits(run_on_host(sources, INPUTS, outputs, (*STRICT, *flags), compiler), reference(kernel))


@needs_arm
@needs_gcc
@needs_qemu
@EVERY_KERNEL
@pytest.mark.parametrize("flags", [("-Os",), ("-O0",)])
def test_the_chip_agrees_with_this_machine_bit_for_bit(kernel: str, flags: tuple[str, ...]) -> None:
    sources, outputs = side_by_side(kernel, LAYERS)
    assert_same_bits(run_on_m4f(sources, INPUTS, outputs, (*STRICT, *flags)).outputs, reference(kernel))


@needs_gcc
def test_the_assembly_kernel_has_the_bits_of_the_c_kernel() -> None:
    assert_same_bits(reference("asm"), reference("c"))


@needs_gcc
@EVERY_KERNEL
def test_a_nan_reaches_every_output(kernel: str) -> None:
    assert np.isnan(reference(kernel)[-1]).all()
    assert not np.isnan(reference(kernel)[:-1]).any()


@needs_gcc
@pytest.mark.parametrize("kernel", ["c", "asm"])
def test_a_float_network_is_near_float64(kernel: str) -> None:
    layers = [*random_layers([(20, 24), (24, 24)], activation="tanh"), *random_layers([(24, 4)])]
    inputs = cases(20)[:-1]
    found = run_on_host(in_a_row(kernel, layers), inputs, 4)
    np.testing.assert_allclose(found, expected(layers, inputs), rtol=0.0, atol=1e-6)


@needs_arm
@needs_qemu
@pytest.mark.parametrize(("kernel", "per_mac"), [("c", 3.9), ("asm", 2.7)])
@pytest.mark.parametrize("flags", ["-O2", "-Os"])
def test_a_small_network_costs_at_most_the_documented_instructions(kernel: str, per_mac: float, flags: str) -> None:
    layers = [*random_layers([(146, 64), (64, 64)], activation="tanh"), *random_layers([(64, 4)])]
    macs = sum(layer.weight.size for layer in layers)
    cost = run_on_m4f(in_a_row(kernel, layers), cases(146)[:-1], 4, (*STRICT, flags))
    assert cost.instructions.max() <= per_mac * macs
    assert cost.stack_bytes <= 1024
