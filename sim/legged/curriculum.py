"""A curriculum of walking: commanded speeds grow while the worlds follow them well."""

from __future__ import annotations

import torch
from torch import Tensor

from sim.legged.rewards import track_velocity
from sim.legged.scenario import LeggedScenario
from sim.terms.parameters import NonNegative, Positive, Share
from sim.terms.stateful import CurriculumTerm
from sim.terms.terms import Curriculum
from sim.terms.view import View


class CommandRange(CurriculumTerm):
    """Commanded speeds start at the share `start` of the full ones. Once as many episodes as there are worlds have
    ended, they grow by `growth` if the mean of track_velocity over these episodes, with `width`, was above `promotion`.
    """

    def __init__(
        self,
        scenario: LeggedScenario,
        *,
        start: Share = 0.5,
        growth: NonNegative = 0.1,
        promotion: Share = 0.65,
        width: Positive = 0.25,
    ) -> None:
        n, device = scenario.num_worlds, scenario.device
        self._commands = scenario.commands
        self._growth, self._promotion, self._width = growth, promotion, width
        self._commands.range = start
        self._steps = torch.zeros(n, device=device)
        self._tracked = torch.zeros(n, device=device)
        # Episodes that have ended since the range was last checked, and the sum of their means.
        self._ended, self._sum = 0, 0.0

    def step(self, view: View) -> None:
        if self._commands.range < 1.0:
            self._steps += 1.0
            self._tracked += track_velocity(view, width=self._width)

    def restart(self, ids: Tensor, generator: torch.Generator) -> None:
        steps = self._steps.index_select(0, ids)
        ended = steps > 0
        if ended.any():
            self.learn((self._tracked.index_select(0, ids).double() / steps)[ended])
        self._steps.index_fill_(0, ids, 0.0)
        self._tracked.index_fill_(0, ids, 0.0)

    def learn(self, tracking: Tensor) -> None:
        """Take the means [K] of episodes that have ended into account, 1 for perfect tracking."""
        self._ended += len(tracking)
        self._sum += float(tracking.sum())
        if self._ended >= len(self._steps):
            if self._sum > self._promotion * self._ended:
                self._commands.range = min(1.0, self._commands.range + self._growth)
            self._ended, self._sum = 0, 0.0

    def finish(self) -> None:
        self._commands.range = 1.0

    def metrics(self) -> dict[str, float]:
        return {"command_range": self._commands.range}


WALKING_CURRICULUM = {"command_range": Curriculum(CommandRange)}
"""The curriculum of every walking task."""
