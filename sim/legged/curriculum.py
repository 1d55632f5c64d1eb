"""Curricula of walking: commanded speeds grow while the worlds follow them well, and those that they follow badly are
drawn more often."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sim.legged.rewards import track_velocity, track_yaw
from sim.legged.scenario import LeggedScenario
from sim.terms.curricula.cells import FailureSampling
from sim.terms.curricula.offered import CURRICULA
from sim.terms.curricula.shares import GrowingShare
from sim.terms.parameters import NonNegative, Positive, Share
from sim.terms.terms import Curriculum
from sim.terms.view import View


class CommandRange(GrowingShare):
    """Commanded speeds start at the share `start` of the full ones. Once as many episodes as there are worlds have
    ended, they grow by `growth` if the mean of track_velocity over these episodes, with `width`, was above `promotion`.
    """

    falls_count = False

    def __init__(
        self,
        scenario: LeggedScenario,
        *,
        start: Share = 0.5,
        growth: NonNegative = 0.1,
        promotion: Share = 0.65,
        width: Positive = 0.25,
    ) -> None:
        self._commands, self._width = scenario.commands, width
        super().__init__(scenario, start, growth, promotion)

    def performance(self, view: View) -> Tensor:
        return track_velocity(view, width=self._width)

    def apply(self) -> None:
        self._commands.range = self.share

    def metrics(self) -> dict[str, float]:
        return {"command_range": self.share}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        # Earlier versions had it with the commands alone, which are restored first.
        self.share = self._commands.range
        super().restore(snapshot)


class CommandSampling(FailureSampling):
    """Commands are drawn more often from those speeds that the worlds follow badly, see `FailureSampling`. A cell is
    one of `bins` equal parts of each speed's range; the result of a command is the mean of track_velocity times
    track_yaw, with `width`, while it was in force, and 0 where it ended in a fall."""

    def __init__(
        self,
        scenario: LeggedScenario,
        *,
        bins: int = 3,
        sharpness: NonNegative = 5.0,
        floor: Share = 0.2,
        width: Positive = 0.25,
    ) -> None:
        n, device = scenario.num_worlds, scenario.device
        super().__init__(bins**3, n, device, sharpness, floor)
        self._terms, self._commands, self._bins, self._width = scenario.terms, scenario.commands, bins, width
        self._steps = torch.zeros(n, device=device)
        self._tracked = torch.zeros(n, device=device)
        self._commands.place = self.place

    def step(self, view: View) -> None:
        self._steps += 1.0
        self._tracked += track_velocity(view, width=self._width) * track_yaw(view, width=self._width)

    def restart(self, ids: Tensor, generator: torch.Generator) -> None:
        self._leave(ids, self._terms.terminated[ids])

    def place(self, ids: Tensor, u: Tensor, generator: torch.Generator) -> Tensor:
        """Numbers [K, 7] in 0..1 that commands of the worlds `ids` [K] are made of, the first three within cells."""
        self._leave(ids, torch.zeros_like(ids, dtype=torch.bool))
        cells = self.draw(len(ids), generator)
        self.cell[ids] = cells
        parts = torch.stack((cells // self._bins**2, cells // self._bins % self._bins, cells % self._bins), -1)
        return torch.cat(((parts + u[:, :3]) / self._bins, u[:, 3:]), -1)

    def _leave(self, ids: Tensor, fell: Tensor) -> None:
        """The commands of the worlds `ids` [K] end; `fell` [K] says where in a fall."""
        steps, tracked = self._steps[ids], self._tracked[ids]
        counted = (steps > 0) & ~self._terms.resumed[ids]
        self.note(ids[counted], torch.where(fell, 0.0, tracked / steps)[counted])
        self._steps[ids] = 0.0
        self._tracked[ids] = 0.0

    def finish(self) -> None:
        self._commands.place = None

    def metrics(self) -> dict[str, float]:
        return {"command_sampling": float(self.results.mean())}


WALKING_CURRICULUM = {"command_range": Curriculum(CommandRange)}
"""The curriculum of every walking task."""
WALKING_CURRICULA = {
    **CURRICULA,
    **WALKING_CURRICULUM,
    "randomization_range": CURRICULA["randomization_range"].with_settings({"measure": "track_velocity"}),
    "command_sampling": Curriculum(CommandSampling),
}
"""The curricula that every walking task can be trained with."""
