"""Curricula that let a share grow: of the penalties' weights, of the ranges of randomization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from policies.errors import UserError
from sim.terms.parameters import NonNegative, Share, near
from sim.terms.stateful import CurriculumTerm
from sim.terms.view import View


class GrowingShare(CurriculumTerm):
    """A `share` that begins at `start`. Whenever as many episodes as there are worlds have ended, it grows by `growth`
    if their mean performance was above `promotion`, and shrinks by as much, to `start` at least, if it was below
    `demotion`.

    The performance of an episode is the mean over its steps of a number in 0..1: the reward term that `measure` names,
    without its weight, or 1 if `measure` is empty. The time from a fall to the time limit counts as 0. A subclass says
    what the share is of in `apply`.
    """

    falls_count = True
    """Whether the time from a fall to the time limit counts."""

    def __init__(
        self, scenario: Any, start: float, growth: float, promotion: float, demotion: float = 0.0, measure: str = ""
    ) -> None:
        n, device = scenario.num_worlds, scenario.device
        self._terms = scenario.terms
        if measure and measure not in self._terms.rewards:
            raise UserError(f"a curriculum's measure must name a reward{near(measure, self._terms.rewards)}")
        self._measured = self._terms.rewards[measure] if measure else None
        self._start, self._growth, self._promotion, self._demotion = start, growth, promotion, demotion
        self._steps = torch.zeros(n, device=device)
        self._tracked = torch.zeros(n, device=device)
        # Episodes that have ended since the share was last checked, and the sum of their performance.
        self._ended, self._sum = 0, 0.0
        self.share = start
        self.apply()

    def apply(self) -> None:
        """Let the present `share` take effect."""

    def performance(self, view: View) -> Tensor:
        """How well each world does in this step: [N], 0..1."""
        return torch.ones_like(self._steps) if self._measured is None else self._measured(view)

    def step(self, view: View) -> None:
        if self.share < 1.0 or self._demotion > 0.0:
            self._steps += 1.0
            self._tracked += self.performance(view)

    def restart(self, ids: Tensor, generator: torch.Generator) -> None:
        steps = self._steps.index_select(0, ids)
        ended = (steps > 0) & ~self._terms.resumed.index_select(0, ids)
        if ended.any():
            lasted = steps
            if self.falls_count:
                fell = self._terms.terminated.index_select(0, ids)
                lasted = torch.where(fell, steps.clamp_min(self._terms.episode_steps), steps)
            self.learn((self._tracked.index_select(0, ids).double() / lasted)[ended])
        self._steps.index_fill_(0, ids, 0.0)
        self._tracked.index_fill_(0, ids, 0.0)

    def learn(self, performance: Tensor) -> None:
        """Take the performance [K] of episodes that have ended into account, 1 for perfect."""
        self._ended += len(performance)
        self._sum += float(performance.sum())
        if self._ended >= len(self._steps):
            if self._sum > self._promotion * self._ended:
                self.become(min(1.0, self.share + self._growth))
            elif self._sum < self._demotion * self._ended:
                self.become(max(self._start, self.share - self._growth))
            self._ended, self._sum = 0, 0.0

    def become(self, share: float) -> None:
        """Take another share."""
        self.share = share
        self.apply()

    def finish(self) -> None:
        self._start, self._demotion = 1.0, 0.0
        self.become(1.0)

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        super().restore(snapshot)
        self.apply()


class Penalties(GrowingShare):
    """The weights of penalties begin at the share `start` of their own and grow to the whole: evenly over the first
    `steps` control steps of each world or, with `steps` 0, by `growth` when the worlds do well, as `promotion`,
    `demotion` and `measure` say. `terms` names the rewards, separated by commas; all of negative weight if empty."""

    def __init__(
        self,
        scenario: Any,
        *,
        start: Share = 0.1,
        steps: int = 1000,
        growth: NonNegative = 0.1,
        promotion: Share = 0.65,
        demotion: Share = 0.0,
        measure: str = "",
        terms: str = "",
    ) -> None:
        rewards = scenario.terms.rewards
        names = [name.strip() for name in terms.split(",") if name.strip()]
        for name in names:
            if name not in rewards:
                raise UserError(f"curriculum.penalties.terms names {name!r}, which is no reward{near(name, rewards)}")
        self._names = names or [name for name, term in rewards.items() if term.weight < 0.0]
        self._over, self._done = steps, 0
        super().__init__(scenario, start, growth, promotion, demotion, measure)

    def apply(self) -> None:
        self._terms.scale_rewards(dict.fromkeys(self._names, self.share))

    def step(self, view: View) -> None:
        if self._over <= 0:
            super().step(view)
        elif self.share < 1.0:
            self._done += 1
            self.become(min(1.0, self._start + (1.0 - self._start) * self._done / self._over))

    def metrics(self) -> dict[str, float]:
        return {"penalties": self.share}


class RandomizationRange(GrowingShare):
    """The ranges of randomization, disturbances, pushes and sensor noise begin at the share `start` of their own and
    grow by `growth` when the worlds do well, as `promotion`, `demotion` and `measure` say: automatic domain
    randomization with one share for all ranges.

    Ref: OpenAI et al., "Solving Rubik's cube with a robot hand", arXiv 1910.07113, section 5.2.
    """

    def __init__(
        self,
        scenario: Any,
        *,
        start: Share = 0.2,
        growth: NonNegative = 0.1,
        promotion: Share = 0.65,
        demotion: Share = 0.0,
        measure: str = "",
    ) -> None:
        super().__init__(scenario, start, growth, promotion, demotion, measure)

    def apply(self) -> None:
        self._terms.scale_imperfections(self.share)

    def metrics(self) -> dict[str, float]:
        return {"randomization_range": self.share}
