"""A Warp kernel that runs once a step over all worlds: recorded once, then launched with the tensors of the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import warp as wp
from torch import Tensor

from sim.physics.rotor.runtime import start_warp


class Pass:
    """A launch of `kernel` on the CPU over `count` worlds.

    `fixed` are the kernel's first arguments: numbers, and arrays or tensors that stay where they are. The tensors that
    follow are given at each call, of the same types and shapes as the `examples`.
    """

    def __init__(self, kernel: Any, count: int, fixed: Sequence[Any], examples: Sequence[Tensor]) -> None:
        start_warp()
        # Kept, for Warp holds no reference to the memory.
        self._kept = [*(_array(value) for value in fixed), *examples]
        self._first = len(fixed)
        inputs = [_array(value) for value in self._kept]
        self._launch = wp.launch(kernel, dim=count, inputs=inputs, device="cpu", record_cmd=True)

    def __call__(self, *tensors: Tensor) -> None:
        launch = self._launch
        for index, tensor in enumerate(tensors, self._first):
            launch.set_param_at_index_from_ctype(index, wp.from_torch(tensor, return_ctype=True))
        launch.launch()


def _array(value: Any) -> Any:
    return wp.from_torch(value) if isinstance(value, Tensor) else value
