"""A Warp kernel that runs once a step over all worlds: recorded once, replayed each step with new tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import warp as wp
from torch import Tensor

from sim.physics.runtime import launch, start_warp


class StructPass:
    """A recorded launch of `kernel`, one thread for each of `count` worlds, replayed each step with new tensors.

    The kernel's first argument is a wp.struct: `constant` gives the numbers and tensors in it that stay, `examples`
    tensors of the types and shapes of those that each call gives. `others` are the kernel's further arguments: tensors,
    of which each call gives those named in `results`, too. The kernel gets contiguous tensors; with `contiguous` False
    it gets the strides of the `examples`. Those that `rows` names have as many rows as the call chooses.
    """

    def __init__(
        self,
        kernel: Any,
        struct: Any,
        count: int,
        device: str,
        constant: Mapping[str, Any],
        examples: Mapping[str, Tensor],
        others: Mapping[str, Tensor],
        results: tuple[str, ...],
        contiguous: bool = True,
        rows: tuple[str, ...] = (),
    ) -> None:
        start_warp()
        self._device = device
        if contiguous:
            examples = {name: example.contiguous() for name, example in examples.items()}
        given = struct()
        for name, value in {**constant, **examples}.items():
            setattr(given, name, wp.from_torch(value) if isinstance(value, Tensor) else value)
        arrays = {name: wp.from_torch(value) for name, value in others.items()}
        # Kept, because Warp holds no reference to the memory; so is what the last call was given.
        self._kept = [given, arrays, constant, examples, others]
        self._launch = wp.launch(kernel, dim=count, inputs=[given, *arrays.values()], device=device, record_cmd=True)
        # The addresses in the recorded launch: writing them there takes a tenth of the time that telling Warp does.
        self._fields = fields = given.__ctype__()
        self._rows = frozenset(rows)
        self._given: dict[str, Tensor] = {}
        self._launch.set_param_at_index_from_ctype(0, fields)
        self._places: dict[str, tuple[Any, torch.dtype, torch.Size, tuple[int, ...]]] = {
            name: (getattr(fields, name), example.dtype, example.shape, example.stride())
            for name, example in examples.items()
        }
        for index, (name, value) in enumerate(others.items(), 1):
            if name in results:
                place = arrays[name].__ctype__()
                self._launch.set_param_at_index_from_ctype(index, place)
                self._places[name] = place, value.dtype, value.shape, value.stride()

    def __call__(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, float] | None = None) -> None:
        """Run with these tensors, one for each example and result, and these numbers of the struct. Raises ValueError
        for another type or shape: the kernel would read beyond it."""
        for name, number in (numbers or {}).items():
            setattr(self._fields, name, number)
        copies = []
        for name, (place, dtype, shape, strides) in self._places.items():
            tensor = tensors[name]
            if tensor is self._given.get(name):
                # It has been checked, and its address is in the launch.
                continue
            if name in self._rows:
                fits = tensor.shape[1:] == shape[1:]
                ready = tensor.contiguous()
            else:
                fits = tensor.shape == shape
                ready = tensor if tensor.stride() == strides else tensor.contiguous()
                fits &= ready.stride() == strides
            if ready.dtype != dtype or not fits:
                raise ValueError(f"expected {dtype} {list(shape)}, got {tensor.dtype} {list(tensor.shape)}: {name}")
            if ready is tensor:
                self._given[name] = tensor
            else:
                # A copy is out of date at the next call, but must live until the kernel has run.
                self._given.pop(name, None)
                copies.append(ready)
            place.data = ready.data_ptr()
        launch(self._launch, self._device)
