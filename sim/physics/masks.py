"""Masks of worlds, for backends on the CPU, where listing the chosen worlds needs no synchronisation."""

from __future__ import annotations

import torch
from torch import Tensor


def chosen(worlds: Tensor) -> Tensor:
    """The indices [K], ascending, of a mask of worlds [N]; a ValueError for anything but a mask."""
    if worlds.dtype is not torch.bool or worlds.dim() != 1:
        raise ValueError(f"worlds are chosen by a mask [N] bool, got {list(worlds.shape)} {worlds.dtype}")
    return worlds.nonzero().squeeze(1)


def mask_of(ids: Tensor, num_worlds: int) -> Tensor:
    """The mask [N] of the worlds `ids` [K]."""
    return torch.zeros(num_worlds, dtype=torch.bool, device=ids.device).index_fill_(0, ids, True)
