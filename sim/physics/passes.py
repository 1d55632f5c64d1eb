"""A Warp kernel that runs once a step over all worlds: recorded once, replayed each step with new tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import warp as wp
from torch import Tensor

from sim.physics.runtime import launch, start_warp


class Pass:
    """A launch of `kernel` over `count` worlds, on the device of its tensors.

    `fixed` are the kernel's first arguments: numbers, and arrays or tensors that stay where they are. The tensors that
    follow are given at each call, of the same types and shapes as the `examples`; what is written must be contiguous.
    """

    def __init__(self, kernel: Any, count: int, fixed: Sequence[Any], examples: Sequence[Tensor]) -> None:
        start_warp()
        # Kept, because Warp holds no reference to the memory.
        self._kept = [_array(value) for value in fixed]
        self._wanted = [(example.dtype, example.shape) for example in examples]
        self._device = str(examples[0].device)
        self._launch = wp.launch(
            kernel,
            dim=count,
            inputs=[*self._kept, *map(wp.from_torch, examples)],
            device=self._device,
            record_cmd=True,
        )
        # Where each tensor's address is in the recorded launch: writing it there takes a tenth of the time of passing
        # the tensor through Warp.
        self._places: list[Any] = [wp.from_torch(example, return_ctype=True) for example in examples]
        for index, place in enumerate(self._places, len(fixed)):
            self._launch.set_param_at_index_from_ctype(index, place)

    def __call__(self, *tensors: Tensor) -> None:
        """Raises ValueError for a tensor of another type or shape: the kernel would read beyond it."""
        # Contiguous rows, and alive until the kernel has run.
        ready = [tensor.contiguous() for tensor in tensors]
        for tensor, place, wanted in zip(ready, self._places, self._wanted, strict=True):
            if (tensor.dtype, tensor.shape) != wanted:
                raise ValueError(f"expected {wanted[0]} {list(wanted[1])}, got {tensor.dtype} {list(tensor.shape)}")
            place.data = tensor.data_ptr()
        launch(self._launch, self._device)


def _array(value: Any) -> Any:
    return wp.from_torch(value) if isinstance(value, Tensor) else value
