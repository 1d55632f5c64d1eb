"""Moving targets: Lissajous figures, x = s cos(2 pi phi + pi/2), y = s/2 sin(2 (2 pi phi + pi/2)), phi = t / interval.

Source: arXiv 2311.13081, public code. The phase rate rises from zero to 1/interval over `ramp` seconds, so that a
vehicle at rest at the origin can join; the ramp is ours.
"""

from __future__ import annotations

from math import log, pi
from typing import Annotated, Any

import torch
from torch import Tensor

from policies.specs import SensorSpec
from sim.terms.parameters import Limits, Positive, Share
from sim.terms.stateful import CommandTerm
from sim.terms.view import View

Span = Annotated[tuple[float, float], Limits(above=0.0, ordered=True)]


class Targets(CommandTerm):
    """The moving targets of N worlds: `position` [N, 3] m and `velocity` [N, 3] m/s, world frame; replaced, never
    changed.

    `interval` s and `scale` m are drawn log-uniformly from their ranges for each episode; `random_phase` starts
    anywhere on the figure at full speed instead of at its centre from rest. A `still` share of the targets rests at
    the origin.
    """

    def __init__(
        self,
        num_worlds: int,
        period: float,
        device: str = "cpu",
        *,
        interval: Span = (3.5, 15.0),
        scale: Span = (1.0, 1.0),
        random_phase: bool = False,
        ramp: Positive = 2.0,
        still: Share = 0.0,
    ) -> None:
        self._ranges = (interval, scale)
        self._random_phase, self._ramp, self._still = random_phase, ramp, still
        self._period = period
        self._interval = torch.ones(num_worlds, device=device)
        self._scale = torch.ones(num_worlds, device=device)
        self._phase = torch.zeros(num_worlds, device=device)
        self._time = torch.zeros(num_worlds, device=device)
        self.position = torch.zeros(num_worlds, 3, device=device)
        self.velocity = torch.zeros(num_worlds, 3, device=device)

    @staticmethod
    def sensor(**parameters: Any) -> tuple[SensorSpec, SensorSpec]:
        return (
            SensorSpec("target_position", 3, "m", "world", -100.0, 100.0),
            SensorSpec("target_velocity", 3, "m/s", "world", -30.0, 30.0),
        )

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        u = torch.rand(3, len(ids), generator=generator, device=self._phase.device)
        interval, scale = self._ranges
        self._interval[ids] = torch.exp(log(interval[0]) + u[0] * (log(interval[1]) - log(interval[0])))
        self._scale[ids] = torch.exp(log(scale[0]) + u[1] * (log(scale[1]) - log(scale[0])))
        if self._still > 0.0:
            at_rest = torch.rand(len(ids), generator=generator, device=ids.device) < self._still
            self._scale[ids] = torch.where(at_rest, 0.0, self._scale[ids])
        self._phase[ids] = u[2] if self._random_phase else 0.0
        self._time[ids] = self._ramp if self._random_phase else 0.0
        self._refresh()

    def advance(self, view: View | None, generator: torch.Generator | None) -> None:
        """Advance by one control period."""
        self._phase = self._phase + self._rate() * self._period
        self._time = self._time + self._period
        self._refresh()

    def _rate(self) -> Tensor:
        return (self._time / self._ramp).clamp(max=1.0) / self._interval

    def _refresh(self) -> None:
        angle = 2.0 * pi * self._phase + 0.5 * pi
        speed = 2.0 * pi * self._rate() * self._scale
        zero = torch.zeros_like(angle)
        x, y = self._scale * torch.cos(angle), 0.5 * self._scale * torch.sin(2.0 * angle)
        self.position = torch.stack((x, y, zero), -1)
        self.velocity = torch.stack((-speed * torch.sin(angle), speed * torch.cos(2.0 * angle), zero), -1)
