"""Random generators in checkpoints."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def restore_generator(generator: torch.Generator, state: Tensor) -> None:
    """Continue from the `state` of a generator: exactly, if it was on the same kind of device.

    Generators on a CPU and on a GPU have states of different sizes. From one to the other the draws
    start from a seed that the state decides, so that the same checkpoint continues equally on every such move.
    """
    state = state.cpu()
    if state.shape == generator.get_state().shape:
        generator.set_state(state)
        return
    digest = hashlib.sha256(state.numpy().tobytes()).digest()
    generator.manual_seed(int.from_bytes(digest[:7], "little"))
