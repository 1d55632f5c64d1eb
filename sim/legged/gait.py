"""The gait's clock: which feet should be on the ground at each step, as a table over whole periods."""

from __future__ import annotations

import math
from fractions import Fraction

import torch

_LONGEST = 5000
"""Most steps until the table repeats; frequencies are rounded to fit."""


class Gait:
    """`phases` [F] of the feet in turns; a foot should be down while its phase is below `duty`.

    `frequency` in Hz, `period` of a step in s. The phase is 0 at a restart, as that of `GaitClock` is.
    """

    def __init__(self, phases: tuple[float, ...], frequency: float, duty: float, period: float) -> None:
        turns = Fraction(frequency * period).limit_denominator(_LONGEST)
        turn = torch.arange(turns.denominator, dtype=torch.float64) * turns.numerator / turns.denominator
        angle = 2.0 * math.pi * turn
        clock = torch.stack((torch.sin(angle), torch.cos(angle)), -1)
        # The epsilon of 1e-9 keeps rounding from deciding at the edges of a phase.
        phase = torch.remainder(turn[:, None] + torch.tensor(phases, dtype=torch.float64) + 1e-9, 1.0)
        swing = ((phase - duty) / (1.0 - duty)).clamp(0.0, 1.0)
        self.table = torch.cat((clock, phase < duty, torch.sin(math.pi * swing)), -1).float()
        """The clock's values in each step since the restart, repeated after `length` steps: [length, 2 + 2 F].

        First (sin, cos) of the phase; then 1 for each foot that should be on the ground, 0 for the others; then how
        high each foot should be as a share of the height in mid-swing: half a sine while in the air.
        """
