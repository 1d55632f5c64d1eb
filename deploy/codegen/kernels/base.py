"""The protocol of kernels for dense layers, and the kernels by name."""

from __future__ import annotations

from typing import Protocol

from deploy.codegen.kernels.assembly import PackedAssembly
from deploy.codegen.kernels.constants import ConstantArray, Floats
from deploy.codegen.kernels.int8 import Int8
from deploy.codegen.kernels.packed import PackedC


class DenseKernel(Protocol):
    """Writes C for target = activation(weight @ source + bias).

    The C needs <stdint.h>, `policy_bits` of `c_math`, `c_math.each` of every activation, and no contraction to fused
    multiply-add.
    """

    @property
    def name(self) -> str:
        """Its name for `--kernel`."""
        ...

    @property
    def exact(self) -> bool:
        """Whether its results equal those of kernel "c" bit for bit."""
        ...

    def arrays(self, symbol: str, weight: Floats, bias: Floats) -> list[ConstantArray]:
        """The constants of one layer; their names begin with `symbol`.

        Args:
            symbol: C identifier, unique in the file.
            weight: Shape [outputs, inputs].
            bias: Shape [outputs].
        """
        ...

    def functions(self) -> str:
        """Static helper functions, needed once in a file with at least one layer."""
        ...

    def call(self, symbol: str, source: str, target: str, inputs: int, outputs: int, activation: str) -> str:
        """C statements that compute one layer, at block scope.

        Args:
            symbol: As given to `arrays`.
            source: Expression of a pointer to `inputs` floats.
            target: Expression of a pointer to `outputs` floats that don't overlap `source`.
            inputs: Columns of the weight matrix.
            outputs: Its rows.
            activation: "" or a name of `c_math.MATH` such as "tanh".
        """
        ...

    def scratch(self, inputs: int, outputs: int) -> int:
        """Bytes of arrays that a call puts on the stack."""
        ...


KERNELS: dict[str, DenseKernel] = {kernel.name: kernel for kernel in (PackedC(), PackedAssembly(), Int8())}
