"""Parameters of a MuJoCo model that differ between the worlds of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
import torch
from mujoco.batch import MODEL_FIELDS, Batch
from torch import Tensor

from policies.errors import UserError
from sim.physics.masks import chosen


class BatchFields:
    """The fields of a batch's model, by MuJoCo's names (options as `opt.<name>`); see `ModelFields`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._nominal: dict[str, Tensor] = {}

    def nominal(self, field: str) -> Tensor:
        """The model's own values [...], whatever has been written since; not to be written."""
        if field not in self._nominal:
            if field not in MODEL_FIELDS:
                near = get_close_matches(field, MODEL_FIELDS, n=3)
                hint = f"; did you mean {', '.join(near)}?" if near else ""
                raise UserError(f"a MuJoCo model has no field {field!r}{hint}")
            model = self._batch.model
            holder = model.opt if field.startswith("opt.") else model
            self._nominal[field] = torch.from_numpy(np.array(getattr(holder, field.removeprefix("opt."))))
        return self._nominal[field]

    def expand(self, field: str) -> Tensor:
        """Per-world values [N, ...], live; `set_const` after writing fields that it reads."""
        self.nominal(field)
        return torch.from_numpy(self._batch.expand(field))

    def set_const(self, worlds: Tensor) -> None:
        """Recompute what follows from masses, frames and default poses in the masked `worlds` [N].

        It costs about as much per world as a few substeps: choose only the worlds that were written.
        """
        ids = chosen(worlds)
        if len(ids):
            self._batch.set_const(ids.numpy())

    def expanded(self) -> list[str]:
        """Fields that differ between worlds, including those that `set_const` derives."""
        return [field for field in _FIELDS if self._batch.expanded(field) is not None]

    def reset(self, worlds: Tensor) -> None:
        """The model's own values for the masked `worlds` [N]."""
        for field in self.expanded():
            self.expand(field)[worlds] = self.nominal(field)

    def snapshot(self) -> dict[str, Tensor]:
        return {field: torch.from_numpy(np.array(self._batch.expanded(field))) for field in self.expanded()}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for field in {*snapshot, *self.expanded()}:
            self.expand(field)[:] = snapshot.get(field, self.nominal(field))


_FIELDS = tuple(sorted(MODEL_FIELDS))
