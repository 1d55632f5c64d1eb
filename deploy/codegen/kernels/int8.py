"""The kernel with 8-bit weights: a quarter of the flash, and faster on processors with dual multiply-accumulates.

Weights are rounded with one scale per row (largest weight = 127). Inputs are rounded at run time to 16 bits, with one
scale for the layer's whole input (largest input = `most`); sums of products are exact in int32. On processors with
SMLAD (Armv7E-M), two products and two sums are one instruction; the portable C has the same integers and so the same
bits.

No sum can overflow: `most` is 32767, or less for weights whose sums could exceed 2^31 - 1, and is computed here from
the weights. None of this bounds the effect of rounding on a closed loop; that is measured in simulation (`generate`'s
`check`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deploy.codegen.kernels.constants import ConstantArray, Floats
from deploy.codegen.kernels.packed import activate

ROWS = 4
QUAD = 4
"""Weights per word."""
LARGEST_WEIGHT = 127
LARGEST_INPUT = 32767
LARGEST_SUM = 2**31 - 1
CONDITION = (
    "defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN) && !defined(POLICY_PORTABLE)"
)


def quantise(weight: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Weights [outputs, inputs] as integers with one scale per row, and the scales [outputs]."""
    largest = np.abs(weight).max(axis=1, initial=0.0)
    scale = (largest / LARGEST_WEIGHT).astype(np.float32)
    divisor = np.where(scale > 0.0, scale, 1.0).astype(np.float64)
    rounded = np.rint(weight.astype(np.float64) / divisor[:, None])
    return np.clip(rounded, -LARGEST_WEIGHT, LARGEST_WEIGHT).astype(np.int8), scale


def largest_input(integers: npt.NDArray[np.int8]) -> int:
    """The largest integer for an input such that no row's sum or partial sum can overflow int32."""
    row = int(np.abs(integers.astype(np.int64)).sum(axis=1).max(initial=0))
    return min(LARGEST_INPUT, LARGEST_SUM // max(row, 1))


def pack_words(integers: npt.NDArray[np.int8]) -> npt.NDArray[np.uint32]:
    """Words in reading order: four rows interleaved, each word four inputs of one row, padded with zeros.

    The bytes of a word hold inputs 0, 2, 1, 3 of the four: SXTB16 widens bytes 0 and 2, which then meet inputs 0 and 1.
    """
    outputs, inputs = integers.shape
    rows, quads = -(-outputs // ROWS), -(-inputs // QUAD)
    padded = np.zeros((rows * ROWS, quads * QUAD), np.int8)
    padded[:outputs, :inputs] = integers
    blocks = padded.reshape(rows, ROWS, quads, QUAD)[..., [0, 2, 1, 3]].transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks).view("<u4").reshape(-1).astype(np.uint32)


class Int8:
    """The kernel "int8"."""

    name = "int8"
    exact = False

    def arrays(self, symbol: str, weight: Floats, bias: Floats) -> list[ConstantArray]:
        """Words of weights; and `most`, then scale and bias of every row. See `DenseKernel.arrays`."""
        integers, scale = quantise(weight)
        rows = np.stack([scale, bias.astype(np.float32)], axis=1).reshape(-1)
        most = np.array([largest_input(integers)], np.float32)
        return [
            ConstantArray(f"{symbol}_words", pack_words(integers)),
            ConstantArray(f"{symbol}_rows", np.concatenate([most, rows])),
        ]

    def functions(self) -> str:
        """See `DenseKernel.functions`."""
        return _FUNCTIONS

    def call(self, symbol: str, source: str, target: str, inputs: int, outputs: int, activation: str) -> str:
        """See `DenseKernel.call`."""
        return (
            "{\n"
            f"    uint32_t rounded[{self.scratch(inputs, outputs) // 4}];\n"
            f"    policy_dense_int8({symbol}_words, {symbol}_rows, rounded, {source}, {target},\n"
            f"                      {inputs}u, {outputs}u);\n"
            "}\n"
        ) + activate(target, outputs, activation)

    def scratch(self, inputs: int, outputs: int) -> int:
        """See `DenseKernel.scratch`."""
        return -(-inputs // QUAD) * QUAD * 2


_FUNCTIONS = f"""\
/* `sum` plus the products of four weights, in the bytes of a word, with four inputs, in the halves of two words. */
#if {CONDITION}
static inline int32_t policy_products(uint32_t w, uint32_t low, uint32_t high, int32_t sum)
{{
    uint32_t even, odd;
    __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(w));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(w));
    __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(even), "r"(low), "r"(sum));
    __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(odd), "r"(high), "r"(sum));
    return sum;
}}
#else
static inline int32_t policy_byte(uint32_t w, uint32_t shift)
{{
    return (int32_t)(((w >> shift) & 0xffu) ^ 0x80u) - 0x80;
}}

static inline int32_t policy_half(uint32_t x, uint32_t shift)
{{
    return (int32_t)(((x >> shift) & 0xffffu) ^ 0x8000u) - 0x8000;
}}

static inline int32_t policy_products(uint32_t w, uint32_t low, uint32_t high, int32_t sum)
{{
    sum += policy_byte(w, 0u) * policy_half(low, 0u) + policy_byte(w, 16u) * policy_half(low, 16u);
    return sum + policy_byte(w, 8u) * policy_half(high, 0u) + policy_byte(w, 24u) * policy_half(high, 16u);
}}
#endif

/* Inputs as integers up to +-most, two per word, padded with zeros to a multiple of four; returns the scale. */
static float policy_round_inputs(const float *x, uint32_t *rounded, uint32_t inputs, float most)
{{
    policy_bits a, b;
    float peak = 0.0f, odd = 0.0f, inverse;
    uint32_t i;
    for (i = 0u; i < inputs; ++i) {{
        const float v = x[i];
        const float size = v < 0.0f ? -v : v;
        peak = size > peak ? size : peak;
        odd += v - v; /* 0; NaN from the first infinity or NaN on */
    }}
    if (!(odd < 1.0f)) {{
        for (i = 0u; i < inputs; i += 4u) {{
            *rounded++ = 0u;
            *rounded++ = 0u;
        }}
        return odd; /* every output becomes NaN */
    }}
    /* Inputs too small for this quotient are rounded to zero. */
    inverse = peak > 1e-30f ? most / peak : 0.0f;
    /* Adding 1.5 * 2^23 leaves the nearest integer, in two's complement, in the low half of the bits. */
    for (i = 0u; i + 1u < inputs; i += 2u) {{
        a.real = x[i] * inverse + 0x1.8p+23f;
        b.real = x[i + 1u] * inverse + 0x1.8p+23f;
        *rounded++ = (a.bits & 0xffffu) | (b.bits << 16);
    }}
    if (i < inputs) {{
        a.real = x[i] * inverse + 0x1.8p+23f;
        *rounded++ = a.bits & 0xffffu;
    }}
    if ((inputs - 1u) % 4u < 2u) {{
        *rounded = 0u;
    }}
    return peak / most;
}}

/* Integer sums of four rows; returns the start of the next four. */
static const uint32_t *policy_rows_int8(const uint32_t *w, const uint32_t *rounded, uint32_t inputs, int32_t *sums)
{{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    uint32_t quads;
    for (quads = (inputs + 3u) / 4u; quads > 0u; --quads) {{
        const uint32_t low = rounded[0], high = rounded[1];
        s0 = policy_products(w[0], low, high, s0);
        s1 = policy_products(w[1], low, high, s1);
        s2 = policy_products(w[2], low, high, s2);
        s3 = policy_products(w[3], low, high, s3);
        w += 4;
        rounded += 2;
    }}
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    return w;
}}

/* y = W x + b; `rows` has the largest integer of an input, then scale and bias of each row. */
static void policy_dense_int8(const uint32_t *words, const float *rows, uint32_t *rounded, const float *x, float *y,
                              uint32_t inputs, uint32_t outputs)
{{
    const float step = policy_round_inputs(x, rounded, inputs, *rows++);
    int32_t sums[4];
    uint32_t r;
    while (outputs > 0u) {{
        words = policy_rows_int8(words, rounded, inputs, sums);
        for (r = 0u; r < 4u && outputs > 0u; ++r) {{
            *y++ = (float)sums[r] * (step * rows[0]) + rows[1];
            rows += 2;
            --outputs;
        }}
    }}
}}
"""
