"""Reward terms in one pass over all worlds: Warp functions behind the names of torch functions.

In torch a term takes several operations over all worlds, and a task of walking has twenty terms. A compiled counterpart
says the same in Warp's own language; which terms have one decides how fast a task is, never what it may say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
import warp as wp
from torch import Tensor

from sim.physics.runtime import launch, start_warp
from sim.terms.kernels import reward_kernel
from sim.terms.terms import Reward


class StructPass:
    """A recorded launch of `kernel`, one thread for each of `count` worlds, replayed each step with new tensors.

    The kernel's first argument is a wp.struct: `constant` gives the numbers and tensors in it that stay, `examples`
    tensors of the types and shapes of those that are given anew at each call. `others` are the kernel's further
    arguments: tensors, of which those named in `results` are given anew at each call, too. The kernel gets contiguous
    tensors, unless it asks for the strides of the `examples` by `contiguous` False.
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
    ) -> None:
        start_warp()
        self._device = device
        if contiguous:
            examples = {name: example.contiguous() for name, example in examples.items()}
        given = struct()
        for name, value in {**constant, **examples}.items():
            setattr(given, name, wp.from_torch(value) if isinstance(value, Tensor) else value)
        arrays = {name: wp.from_torch(value) for name, value in others.items()}
        # Kept, because Warp holds no reference to the memory.
        self._kept = [given, arrays, constant, examples, others]
        self._launch = wp.launch(kernel, dim=count, inputs=[given, *arrays.values()], device=device, record_cmd=True)
        # The addresses in the recorded launch: writing them there takes a tenth of the time that telling Warp does.
        fields = given.__ctype__()
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

    def __call__(self, tensors: Mapping[str, Tensor]) -> None:
        """Run with these tensors, one for each example and result. Raises ValueError for another type or shape: the
        kernel would read beyond it."""
        ready = []
        for name, (place, dtype, shape, strides) in self._places.items():
            tensor = tensors[name]
            if tensor.stride() != strides:
                tensor = tensor.contiguous()
            if tensor.dtype != dtype or tensor.shape != shape or tensor.stride() != strides:
                raise ValueError(f"expected {dtype} {list(shape)}, got {tensor.dtype} {list(tensor.shape)}: {name}")
            place.data = tensor.data_ptr()
            # Alive until the kernel has run.
            ready.append(tensor)
        launch(self._launch, self._device)


class CompiledRewards:
    """The terms among `rewards` that have a weight and whose function is one of `counterparts`, in one pass.

    `counterparts` gives the Warp function for a torch function (see `sim.terms.kernels.reward_kernel`), `struct` what
    it reads, `constant` the part of that which stays. Parameters must be numbers.
    """

    def __init__(
        self,
        rewards: Mapping[str, Reward],
        counterparts: Mapping[Callable[..., Tensor], Any],
        struct: Any,
        constant: Mapping[str, Any],
        num_worlds: int,
        period: float,
        device: str,
        contiguous: bool = True,
    ) -> None:
        self._contiguous = contiguous
        terms = {name: term for name, term in rewards.items() if term.weight != 0.0 and term.function in counterparts}
        self.names = tuple(terms)
        self.sums = torch.zeros(num_worlds, len(terms), device=device)
        values: list[float] = []
        offsets: list[int] = []
        for term in terms.values():
            offsets.append(len(values))
            values += map(float, term.parameters.values())
        self._kernel = _kernel(struct, tuple(counterparts[term.function] for term in terms.values()), tuple(offsets))
        self._struct = struct
        self._constant = {**constant, "parameters": torch.tensor(values or [0.0], device=device)}
        self._weights = torch.tensor([term.weight * period for term in terms.values()] or [0.0], device=device)
        self._device = device
        self._pass: StructPass | None = None

    def __call__(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The sum of the terms [N], weighted; `inputs` has at least what is in the struct and not constant."""
        reward = torch.empty(len(self.sums), device=self._device)
        if self._pass is None:
            examples = {name: inputs[name] for name in self._struct.vars if name not in self._constant}
            others = {"weights": self._weights, "sums": self.sums, "reward": reward}
            self._pass = StructPass(
                self._kernel, self._struct, len(reward), self._device, self._constant, examples, others, ("reward",),
                self._contiguous,
            )  # fmt: skip
        self._pass({**inputs, "reward": reward})
        return reward


@cache
def _kernel(struct: Any, functions: tuple[Any, ...], offsets: tuple[int, ...]) -> Any:
    return reward_kernel(struct, functions, offsets)
