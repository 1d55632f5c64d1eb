"""The gait's clock: which feet should be on the ground at each step, as a table over whole periods."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

_LONGEST = 5000
"""Steps at most until the table repeats; frequencies are rounded to what that allows."""


class Gait:
    """`phases` [F] of the feet in turns; a foot should be down while its phase is below `duty`.

    `frequency` in Hz, `period` of a step in s. The phase is 0 at a restart, as that of `GaitClock` is.
    """

    def __init__(self, phases: tuple[float, ...], frequency: float, duty: float, period: float) -> None:
        turns = Fraction(frequency * period).limit_denominator(_LONGEST)
        self._length = turns.denominator
        turn = torch.arange(self._length, dtype=torch.float64) * turns.numerator / turns.denominator
        angle = 2.0 * math.pi * turn
        self._clock = torch.stack((torch.sin(angle), torch.cos(angle)), -1).float()
        # A hair's breadth keeps rounding from choosing at the very edge.
        phase = torch.remainder(turn[:, None] + torch.tensor(phases, dtype=torch.float64) + 1e-9, 1.0)
        self._wanted = (phase < duty).float()
        swing = ((phase - duty) / max(1.0 - duty, 1e-9)).clamp(0.0, 1.0)
        self._lift = torch.sin(math.pi * swing).float()

    def clock(self, steps: Tensor) -> Tensor:
        """(sin, cos) of the phase [N, 2] after `steps` [N] since the restart."""
        return self._clock[steps % self._length]

    def wanted(self, steps: Tensor) -> Tensor:
        """1 for feet that should be on the ground [N, F], 0 for the others."""
        return self._wanted[steps % self._length]

    def lift(self, steps: Tensor) -> Tensor:
        """How high each foot should be [N, F], as a share of the height in mid-swing: half a sine while in the air."""
        return self._lift[steps % self._length]
