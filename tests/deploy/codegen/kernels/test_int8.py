"""The kernel of 8-bit weights: what rounding may cost, and that no sum can leave int32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.codegen.kernels.int8 import LARGEST_SUM, largest_input, pack_words, quantise
from deploy.mcu.emulator import run_on_m4f
from deploy.mcu.host import run_on_host
from tests.deploy.codegen.kernels.programs import Layer, expected, random_layers, side_by_side
from tests.mcu_tools import needs_arm, needs_gcc, needs_qemu


@given(st.integers(1, 3000), st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_no_part_of_a_sum_can_overflow(inputs: int, seed: int, uniform: float) -> None:
    rng = np.random.default_rng(seed)
    # Between all weights equal in size, which is the worst case, and all sizes.
    weight = rng.choice([-1.0, 1.0], (3, inputs)) * (uniform + (1.0 - uniform) * rng.random((3, inputs)))
    integers, _ = quantise(weight.astype(np.float32))
    most = largest_input(integers)
    worst = np.cumsum(np.abs(integers.astype(object)) * most, axis=1)
    assert worst.max() <= LARGEST_SUM
    # And it is the largest such number in 16 bits.
    assert most == 32767 or worst.max() // most * (most + 1) > LARGEST_SUM


def test_weights_are_rounded_to_the_nearest_step_of_their_row() -> None:
    layer = random_layers([(50, 9)])[0]
    layer.weight[4] = 0.0
    integers, scale = quantise(layer.weight)
    assert np.abs(integers * scale[:, None] - layer.weight).max(axis=1) == pytest.approx(scale / 2.0, rel=0.2, abs=1e-7)
    assert np.abs(integers).max(axis=1).tolist() == [127] * 4 + [0] + [127] * 4


def test_words_hold_every_weight_once() -> None:
    integers = np.arange(1, 43, dtype=np.int8).reshape(6, 7)
    content = np.sort(pack_words(integers).view(np.int8))
    assert content[-42:].tolist() == list(range(1, 43))
    assert content.size == 8 * 8 and not content[:-42].any()


@needs_gcc
def test_outputs_differ_from_float_by_what_rounding_explains() -> None:
    layer = random_layers([(60, 10)])[0]
    inputs = np.random.default_rng(3).normal(size=(20, 60)).astype(np.float32)
    sources, outputs = side_by_side("int8", [layer])
    found = run_on_host(sources, inputs, outputs)
    _, scale = quantise(layer.weight)
    # Half a step of a weight meets each input; half a step of an input is 65 000 times smaller than the largest one.
    bound = 0.51 * scale * np.abs(inputs).sum(axis=1, keepdims=True) + 1e-4
    error = np.abs(found - expected([layer], inputs))
    assert (error <= bound).all()
    assert error.max() > 1e-5


@needs_arm
@needs_gcc
@needs_qemu
def test_the_worst_sums_are_right_on_chip_and_host() -> None:
    # 1000 weights of full size: with inputs of full size their sum would need 33 bits.
    signs = np.random.default_rng(4).choice([-1.0, 1.0], (4, 1000)).astype(np.float32)
    layer = Layer(signs, np.zeros(4, np.float32))
    sources, outputs = side_by_side("int8", [layer])
    flags = ("-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    host = run_on_host(sources, signs, outputs, (*flags, "-DPOLICY_PORTABLE"))
    np.testing.assert_allclose(np.diag(host), 1000.0, rtol=1e-6)
    np.testing.assert_array_equal(run_on_m4f(sources, signs, outputs).outputs.view(np.uint32), host.view(np.uint32))
