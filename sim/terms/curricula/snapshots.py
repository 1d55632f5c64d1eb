"""Episodes that begin from states which a teacher has been in (S3RL, arXiv 2403.00673)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from sim.terms.parameters import Share
from sim.terms.stateful import CurriculumTerm
from sim.terms.view import View

CLUSTER = "cluster"
"""The row of a snapshot that says which cluster it belongs to."""


class SnapshotResets(CurriculumTerm):
    """During the first `steps` control steps of each world, the share `share` of the restarts goes on from snapshots of
    the worlds of a teacher: a cluster is drawn uniformly, then one of its members, and the episode is cut off after
    `length` steps. Clusters are of the teacher's value, so that rare states are as frequent as common ones.

    `teacher` is the folder of a run; the training keeps the snapshots, taken every `every` steps in `episodes` episodes
    and put into `clusters` clusters, in its own folder as `file`. Without a file, episodes begin as usual.
    """

    def __init__(
        self,
        scenario: Any,
        *,
        teacher: str = "",
        share: Share = 1.0,
        steps: int = 1000,
        length: int = 100,
        every: int = 10,
        episodes: int = 10,
        clusters: int = 6,
        file: str = "",
    ) -> None:
        self._share, self._over, self._length = share, steps, length
        self._done = 0
        self._terms = scenario.terms
        # In a mapping, so that checkpoints do not hold them.
        self._kept = {"rows": load_snapshots(Path(file), scenario.device) if file else {}}

    def step(self, view: View) -> None:
        self._done += 1

    def resume(self, ids: Tensor, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]] | None:
        rows = self._kept["rows"]
        if not rows or self._done >= self._over:
            return None
        chosen = ids[torch.rand(len(ids), generator=generator, device=ids.device) < self._share]
        if not len(chosen):
            return None
        cluster = rows[CLUSTER]
        wanted = torch.randint(int(cluster.max()) + 1, (len(chosen), 1), generator=generator, device=ids.device)
        member = torch.multinomial((cluster == wanted).float(), 1, generator=generator)[:, 0]
        taken = {name: value[member] for name, value in rows.items() if name != CLUSTER}
        age = torch.full((len(chosen),), self._terms.episode_steps - self._length, device=ids.device)
        return chosen, {**taken, "world/age": age}

    def finish(self) -> None:
        self._over = 0

    def metrics(self) -> dict[str, float]:
        return {"snapshots": float(self._terms.resumed.float().mean())}


def load_snapshots(file: Path, device: str) -> dict[str, Tensor]:
    """The snapshots in a file, with the cluster [S] of each. UserError when it can't be read."""
    try:
        rows: dict[str, Tensor] = torch.load(file, map_location=device, weights_only=True)["rows"]
    except Exception as error:  # Damaged bytes make torch's reader raise nearly anything.
        raise UserError(f"{file} holds no snapshots ({type(error).__name__}); name a teacher to take them of") from None
    return rows


def clustered(values: Tensor, clusters: int) -> Tensor:
    """The cluster [S] of each value [S]: K-means in one dimension, from quantiles, without empty clusters.

    Ref: Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28 (1982).
    """
    values = values.double()
    centres = torch.quantile(values, (torch.arange(clusters, dtype=torch.float64) + 0.5) / clusters).unique()
    for _ in range(100):
        nearest = (values[:, None] - centres).abs().argmin(1)
        moved = torch.stack([values[nearest == k].mean() for k in nearest.unique()])
        if torch.equal(moved, centres):
            break
        centres = moved
    cluster: Tensor = (values[:, None] - centres).abs().argmin(1).unique(return_inverse=True)[1]
    return cluster
