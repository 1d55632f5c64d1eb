"""Moving targets: Lissajous figures, x = s cos(2 pi phi + pi/2), y = s/2 sin(2 (2 pi phi + pi/2)), phi = t / interval.

Source: arXiv 2311.13081, public code. The phase rate rises from zero to 1/interval over `ramp` seconds, so that a
vehicle at rest at the origin can join; the ramp is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, pi

import torch
from torch import Tensor


@dataclass(frozen=True)
class Figures:
    """Which figures are flown: `interval` s and `scale` m are drawn log-uniformly from their ranges for each episode;
    `random_phase` starts anywhere on the figure at full speed instead of at its centre from rest.
    """

    interval: tuple[float, float] = (3.5, 15.0)
    scale: tuple[float, float] = (1.0, 1.0)
    random_phase: bool = False
    ramp: float = 2.0

    def __post_init__(self) -> None:
        for name in ("interval", "scale"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise ValueError(f"Figures.{name} needs 0 < low <= high, got {(low, high)}")
        if not self.ramp > 0.0:
            raise ValueError(f"Figures.ramp must be above 0 s, got {self.ramp}")


class Targets:
    """The moving targets of N worlds: `position` [N, 3] m and `velocity` [N, 3] m/s, world frame; replaced, never
    changed.
    """

    def __init__(self, figures: Figures, num_worlds: int, period: float, device: str) -> None:
        self._figures = figures
        self._period = period
        self._interval = torch.ones(num_worlds, device=device)
        self._scale = torch.ones(num_worlds, device=device)
        self._phase = torch.zeros(num_worlds, device=device)
        self._time = torch.zeros(num_worlds, device=device)
        self.position = torch.zeros(num_worlds, 3, device=device)
        self.velocity = torch.zeros(num_worlds, 3, device=device)

    def begin(self, ids: Tensor, generator: torch.Generator) -> None:
        u = torch.rand(3, len(ids), generator=generator, device=self._phase.device)
        f = self._figures
        self._interval[ids] = torch.exp(log(f.interval[0]) + u[0] * (log(f.interval[1]) - log(f.interval[0])))
        self._scale[ids] = torch.exp(log(f.scale[0]) + u[1] * (log(f.scale[1]) - log(f.scale[0])))
        self._phase[ids] = u[2] if f.random_phase else 0.0
        self._time[ids] = f.ramp if f.random_phase else 0.0
        self._refresh()

    def advance(self) -> None:
        """One control period on."""
        self._phase = self._phase + self._rate() * self._period
        self._time = self._time + self._period
        self._refresh()

    def _rate(self) -> Tensor:
        return (self._time / self._figures.ramp).clamp(max=1.0) / self._interval

    def _refresh(self) -> None:
        angle = 2.0 * pi * self._phase + 0.5 * pi
        speed = 2.0 * pi * self._rate() * self._scale
        zero = torch.zeros_like(angle)
        x, y = self._scale * torch.cos(angle), 0.5 * self._scale * torch.sin(2.0 * angle)
        self.position = torch.stack((x, y, zero), -1)
        self.velocity = torch.stack((-speed * torch.sin(angle), speed * torch.cos(2.0 * angle), zero), -1)

    def snapshot(self) -> dict[str, Tensor]:
        names = ("interval", "scale", "phase", "time")
        return {f"figure_{name}": getattr(self, f"_{name}").clone() for name in names}

    def restore(self, snapshot: Mapping[str, Tensor]) -> None:
        for name in ("interval", "scale", "phase", "time"):
            setattr(self, f"_{name}", snapshot[f"figure_{name}"].clone())
        self._refresh()
