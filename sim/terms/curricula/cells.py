"""Adaptive sampling by failure: contexts in which worlds do badly are drawn more often."""

from __future__ import annotations

import torch
from torch import Tensor

from sim.terms.stateful import CurriculumTerm


class FailureSampling(CurriculumTerm):
    """Draws cells of a context, such as kinds of terrain, with probabilities that fall with how well worlds do in them.

    Of a draw, the share `floor` is uniform; the rest goes by weights exp(-`sharpness` r) with the results r in 0..1 of
    each cell. The weights are brought up to date whenever as many results have come in as there are worlds; r then goes
    half of the way to the mean of the new results. Cells that no world has been in have r 0.

    Ref: adaptive trajectory sampling in SkillMimic-V2, arXiv 2505.02094, whose weights are exp(-5 r) and exp(-10 r).
    """

    def __init__(self, cells: int, num_worlds: int, device: str, sharpness: float, floor: float) -> None:
        self._sharpness, self._floor = sharpness, floor
        self.results = torch.zeros(cells, device=device)
        """The result r [C] of each cell."""
        self._visited = torch.zeros(cells, dtype=torch.bool, device=device)
        self._sum = torch.zeros(cells, device=device)
        self._count = torch.zeros(cells, device=device)
        self._most = num_worlds
        self.cell = torch.zeros(num_worlds, dtype=torch.int64, device=device)
        """The cell [N] that each world is in."""

    def probabilities(self) -> Tensor:
        """The probability [C] of each cell."""
        weights = torch.softmax(-self._sharpness * self.results, 0)
        return self._floor / len(weights) + (1.0 - self._floor) * weights

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Cells [count], by their probabilities."""
        return torch.multinomial(self.probabilities(), count, replacement=True, generator=generator)

    def note(self, ids: Tensor, result: Tensor) -> None:
        """The worlds `ids` [K] leave their cells with these results [K], 0..1."""
        cells = self.cell[ids]
        self._sum.index_add_(0, cells, result.float())
        self._count.index_add_(0, cells, torch.ones_like(result, dtype=torch.float32))
        if float(self._count.sum()) >= self._most:
            new = self._count > 0
            mean = self._sum / self._count.clamp_min(1.0)
            moved = torch.where(self._visited, 0.5 * (self.results + mean), mean)
            self.results = torch.where(new, moved, self.results)
            self._visited |= new
            self._sum.zero_()
            self._count.zero_()
