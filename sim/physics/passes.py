"""A Warp kernel that runs once a step over all worlds: recorded once, replayed each step with new tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import warp as wp
from torch import Tensor

from sim.physics.runtime import launch, start_warp


class StructPass:
    """A launch of `kernel`, one thread for each of `count` worlds: recorded at the first call, replayed at later ones.

    The kernel's first argument is a wp.struct: `constant` gives the numbers and tensors in it that stay, each call the
    others. `fixed` are further arguments of the kernel, which stay, too. Those named in `results` come after them, and
    each call gives them. The kernel gets contiguous tensors; with `contiguous` False it gets the strides of the first
    call. Those that `rows` names have as many rows as the call chooses.
    """

    def __init__(
        self,
        kernel: Any,
        struct: Any,
        count: int,
        device: str,
        constant: Mapping[str, Any],
        *,
        fixed: Sequence[Tensor] = (),
        results: tuple[str, ...] = (),
        contiguous: bool = True,
        rows: tuple[str, ...] = (),
    ) -> None:
        start_warp()
        self._kernel, self._struct, self._count, self._device = kernel, struct, count, device
        self._constant, self._fixed, self._results = constant, fixed, results
        self._contiguous = contiguous
        self._rows = frozenset(rows)
        self._given: dict[str, Tensor] = {}
        self._launch: wp.Launch | None = None
        self._places: dict[str, tuple[Any, torch.dtype, torch.Size, tuple[int, ...]]] = {}

    def _record(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, float]) -> wp.Launch:
        """The launch, with places for tensors of the types and shapes of these."""
        names = [name for name in self._struct.vars if name not in self._constant and name not in numbers]
        examples = {name: tensors[name].contiguous() if self._contiguous else tensors[name] for name in names}
        given = self._struct()
        for name, value in {**self._constant, **examples}.items():
            setattr(given, name, wp.from_torch(value) if isinstance(value, Tensor) else value)
        results = {name: wp.from_torch(tensors[name]) for name in self._results}
        fixed = [wp.from_torch(tensor) for tensor in self._fixed]
        # Kept, because Warp holds no reference to the memory; so is what the last call was given.
        self._kept = [given, fixed, results, examples]
        inputs = [given, *fixed, *results.values()]
        recorded: wp.Launch = wp.launch(
            self._kernel, dim=self._count, inputs=inputs, device=self._device, record_cmd=True
        )
        # The addresses in the recorded launch: writing them there takes a tenth of the time that telling Warp does.
        self._fields = given.__ctype__()
        recorded.set_param_at_index_from_ctype(0, self._fields)
        places = {name: getattr(self._fields, name) for name in examples}
        for index, (name, array) in enumerate(results.items(), 1 + len(fixed)):
            places[name] = array.__ctype__()
            recorded.set_param_at_index_from_ctype(index, places[name])
        for name, place in places.items():
            example = examples.get(name, tensors[name])
            self._places[name] = place, example.dtype, example.shape, example.stride()
        return recorded

    def __call__(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, float] | None = None) -> None:
        """Run with these tensors and numbers of the struct. Raises ValueError for a tensor of another type or shape
        than at the first call: the kernel would read beyond it."""
        self._launch = self._launch or self._record(tensors, numbers or {})
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
