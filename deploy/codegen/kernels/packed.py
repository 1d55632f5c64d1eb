"""The float32 kernel in C, with weights packed for sequential access.

Rows of the weight matrix are interleaved in blocks of eight (then four, then one): one load of an input serves eight
multiply-adds, and the weights are read in ascending order. Each block starts with its biases.

Each output starts from its bias and adds weight times input in ascending order of inputs; each product and each sum is
rounded. Every kernel with this order gives the same bits. Separate multiplies and adds are also faster on a Cortex-M4
than fused ones (1 + 1 cycles against 3, Cortex-M4 Technical Reference Manual, table 7-1).
"""

from __future__ import annotations

import numpy as np

from deploy.codegen.kernels.constants import ConstantArray, Floats

BLOCKS = (8, 4, 1)
UNROLL = 4


def blocks(outputs: int) -> list[tuple[int, int]]:
    """First row and number of rows of each block, for a matrix with `outputs` rows."""
    found = []
    start = 0
    for rows in BLOCKS:
        while outputs - start >= rows:
            found.append((start, rows))
            start += rows
    return found


def pack(weight: Floats, bias: Floats) -> Floats:
    """`weight` [outputs, inputs] and `bias` [outputs] in the order of reading: [outputs * (inputs + 1)]."""
    parts = []
    for start, rows in blocks(len(bias)):
        parts.append(bias[start : start + rows])
        parts.append(weight[start : start + rows].T.reshape(-1))
    return np.concatenate(parts).astype(np.float32)


class PackedC:
    """The kernel "c"."""

    name = "c"
    exact = True

    def arrays(self, symbol: str, weight: Floats, bias: Floats) -> list[ConstantArray]:
        """The packed weights; see `DenseKernel.arrays`."""
        return [ConstantArray(symbol, pack(weight, bias))]

    def functions(self) -> str:
        """See `DenseKernel.functions`."""
        return "\n".join([*(rows_function(rows) for rows in BLOCKS), DENSE])

    def call(self, symbol: str, source: str, target: str, inputs: int, outputs: int, activation: str) -> str:
        """See `DenseKernel.call`."""
        return f"policy_dense({symbol}, {source}, {target}, {inputs}u, {outputs}u);\n" + activate(
            target, outputs, activation
        )

    def scratch(self, inputs: int, outputs: int) -> int:
        """See `DenseKernel.scratch`."""
        return 0


def activate(target: str, outputs: int, activation: str) -> str:
    """The C statement that applies a function of `c_math` to each of `outputs` floats; "" for none."""
    return f"policy_{activation}_each({target}, {outputs}u);\n" if activation else ""


def rows_function(rows: int) -> str:
    """The C function of one block of `rows` rows; it returns the start of the next block."""
    each = range(rows)
    start = ", ".join(f"s{r} = w[{r}]" for r in each)

    def step(k: int) -> list[str]:
        return [f"v = x[{k}];", *(f"s{r} += w[{k * rows + r}] * v;" for r in each)]

    unrolled = [line for k in range(UNROLL) for line in step(k)]
    lines = [
        f"/* {rows} row{'s' if rows > 1 else ''} of a packed matrix: biases, then the weights of each input. */",
        f"static const float *policy_rows{rows}(const float *w, const float *x, float *y, uint32_t inputs)",
        "{",
        f"    float {start};",
        f"    w += {rows};",
        f"    for (; inputs >= {UNROLL}u; inputs -= {UNROLL}u) {{",
        "        float v;",
        *(f"        {line}" for line in unrolled),
        f"        w += {rows * UNROLL};",
        f"        x += {UNROLL};",
        "    }",
        "    for (; inputs > 0u; --inputs) {",
        "        const float v = x[0];",
        *(f"        {line}" for line in step(0)[1:]),
        f"        w += {rows};",
        "        x += 1;",
        "    }",
        *(f"    y[{r}] = s{r};" for r in each),
        "    return w;",
        "}",
    ]
    return "\n".join(lines) + "\n"


DENSE = """\
/* y = W x + b for a matrix packed in blocks of 8, 4 and 1 rows. */
static void policy_dense(const float *packed, const float *x, float *y, uint32_t inputs, uint32_t outputs)
{
    for (; outputs >= 8u; outputs -= 8u) {
        packed = policy_rows8(packed, x, y, inputs);
        y += 8;
    }
    for (; outputs >= 4u; outputs -= 4u) {
        packed = policy_rows4(packed, x, y, inputs);
        y += 4;
    }
    for (; outputs > 0u; --outputs) {
        packed = policy_rows1(packed, x, y, inputs);
        y += 1;
    }
}
"""
