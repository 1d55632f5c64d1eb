"""The dense product without packing or tricks, for matrices too small to gain from them, or to bear rounded weights."""

from __future__ import annotations

import numpy as np

from deploy.codegen.kernels.base import KERNELS, DenseKernel
from deploy.codegen.kernels.constants import ConstantArray, Floats
from deploy.codegen.kernels.packed import activate

SMALL = 512
"""Weights of a matrix that an approximate kernel leaves alone: those of observation terms, and of most last layers."""
EXACT = frozenset({"c", "asm"})
"""Kernels whose results are those of this one, bit for bit."""


class Plain:
    """A `DenseKernel` whose matrix lies row by row, each row's bias before it. Sums run in the order of kernel "c"."""

    name = "plain"

    def arrays(self, symbol: str, weight: Floats, bias: Floats) -> list[ConstantArray]:
        """See `DenseKernel.arrays`."""
        return [ConstantArray(symbol, np.concatenate([bias[:, None], weight], axis=1, dtype=np.float32).reshape(-1))]

    def constants(self, symbol: str, weight: Floats, bias: Floats) -> str:
        """See `DenseKernel.constants`."""
        return "".join(array.definition() for array in self.arrays(symbol, weight, bias))

    def functions(self) -> str:
        """See `DenseKernel.functions`."""
        return _FUNCTION

    def call(self, symbol: str, source: str, target: str, inputs: int, outputs: int, activation: str) -> str:
        """See `DenseKernel.call`."""
        call = f"policy_dense_plain({symbol}, {source}, {target}, {inputs}u, {outputs}u);\n"
        return call + activate(target, outputs, activation)

    def scratch(self, inputs: int, outputs: int) -> int:
        """See `DenseKernel.scratch`."""
        del inputs, outputs
        return 0


def kernel_for(weight: Floats, chosen: DenseKernel) -> DenseKernel:
    """The kernel of one matrix: the chosen one, unless that rounds weights and the matrix is small."""
    return chosen if chosen.name in EXACT or weight.size > SMALL else PLAIN


_FUNCTION = """\
/* y = W x + b for a matrix row by row, each row's bias before it. */
static void policy_dense_plain(const float *w, const float *x, float *y, uint32_t inputs, uint32_t outputs)
{
    for (uint32_t r = 0u; r < outputs; r++) {
        float sum = *w++;
        for (uint32_t i = 0u; i < inputs; i++) {
            sum += *w++ * x[i];
        }
        y[r] = sum;
    }
}
"""
PLAIN = Plain()
assert set(KERNELS) >= EXACT
