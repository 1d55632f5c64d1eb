"""The dense product without packing, for matrices too small to gain from it or to have their weights rounded."""

from __future__ import annotations

import numpy as np

from deploy.codegen.kernels.base import DenseKernel
from deploy.codegen.kernels.constants import ConstantArray, Floats
from deploy.codegen.kernels.packed import activate

SMALL = 512
"""Matrices of at most this many weights are not rounded: those of observation terms and of most last layers."""


class Plain:
    """A `DenseKernel` with its matrix stored row by row, each after its bias; sums are in the order of kernel "c"."""

    name = "plain"
    exact = True

    def arrays(self, symbol: str, weight: Floats, bias: Floats) -> list[ConstantArray]:
        """See `DenseKernel.arrays`."""
        return [ConstantArray(symbol, np.concatenate([bias[:, None], weight], axis=1, dtype=np.float32).reshape(-1))]

    def functions(self) -> str:
        """See `DenseKernel.functions`."""
        return _FUNCTION

    def call(self, symbol: str, source: str, target: str, inputs: int, outputs: int, activation: str) -> str:
        """See `DenseKernel.call`."""
        call = f"policy_dense_plain({symbol}, {source}, {target}, {inputs}u, {outputs}u);\n"
        return call + activate(target, outputs, activation)

    def scratch(self, inputs: int, outputs: int) -> int:
        """See `DenseKernel.scratch`."""
        return 0


def kernel_for(weight: Floats, chosen: DenseKernel) -> DenseKernel:
    """The kernel of one matrix: the chosen one, unless it rounds weights and the matrix is small."""
    return chosen if chosen.exact or weight.size > SMALL else PLAIN


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
