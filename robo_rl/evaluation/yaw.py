"""How well a robot follows its commanded yaw rate: at each instant, averaged over a stride, and its swing within one.

A trot swings the base at stride frequency, which the instantaneous error counts and the course of the robot does not
show. So three figures stand beside it: the error averaged over a stride, |mean of (yaw rate - command)|; the swing,
the standard deviation of the yaw rate within a stride; and what a robot that stands still would score, |command|. The
window slides by one control period at a time, and counts once an episode has lasted a whole stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.terms.stateful import GaitClock
from robo_rl.evaluation.flying import Floats, Interval, bootstrap_mean
from sim.task import Task

COMMAND = "velocity_command"
"""The sensor that makes a task one of walking: forward m/s, left m/s and yaw rate rad/s, in the base's frame."""
STRIDE = 0.4
"""Length in s of a stride where a task has no gait clock."""


@dataclass(frozen=True)
class Stride:
    """A stride in `steps` of `period` s; `clocked` when it is that of the task's gait clock, else it is `STRIDE` s."""

    steps: int
    period: float
    clocked: bool

    @property
    def seconds(self) -> float:
        return self.steps * self.period


def stride_of(task: Task) -> Stride:
    """The stride of a walking task, to the nearest step: a turn of the clock that its policies observe."""
    clock = next((term for term in task.observation_terms if isinstance(term, GaitClock)), None)
    seconds = STRIDE if clock is None else 1.0 / clock.frequency
    return Stride(max(1, round(seconds / task.period)), task.period, clock is not None)


@dataclass(frozen=True)
class YawErrors:
    """Means over the steps of each world, then over worlds, with intervals of 95 %; all in rad/s."""

    stride: Stride
    instant: Interval
    """Mean of |yaw rate - command|."""
    stride_mean: Interval
    """Mean over windows of |mean of (yaw rate - command) within a stride|."""
    swing: Interval
    """Mean over windows of the standard deviation of the yaw rate within a stride."""
    standing: Interval
    """Mean of |command|: the instantaneous error of a robot that never turns."""

    def summary(self) -> dict[str, Any]:
        """The entries of an evaluation's summary."""
        return {
            "yaw_rate_error_rad_s": vars(self.instant),
            "yaw_error_stride_mean_rad_s": vars(self.stride_mean),
            "yaw_swing_rad_s": vars(self.swing),
            "standing_yaw_error_rad_s": vars(self.standing),
            "stride_s": self.stride.seconds,
            "stride_from": "gait clock" if self.stride.clocked else "default",
        }


class YawTally:
    """Adds up the yaw rates of N worlds step by step."""

    def __init__(self, worlds: int, stride: Stride, device: str = "cpu") -> None:
        self._stride = stride
        # The last stride's yaw rates and errors, the newest anywhere in it.
        self._rates, self._errors = (torch.zeros(stride.steps, worlds, device=device) for _ in range(2))
        self._added = 0
        self._steps, self._windows = (torch.zeros(worlds, device=device) for _ in range(2))
        names = ("instant", "stride_mean", "swing", "standing")
        self._sums = {name: torch.zeros(worlds, dtype=torch.float64, device=device) for name in names}

    def add(self, rate: Tensor, command: Tensor, alive: Tensor) -> None:
        """One step of the worlds that are `alive` [N]: yaw rates and commanded ones [N], rad/s. A world that is no
        longer alive stays so."""
        row = self._added % self._stride.steps
        self._added += 1
        # What follows a fall may be non-finite: left out, not multiplied by 0.
        self._rates[row] = torch.where(alive, rate, 0.0)
        self._errors[row] = torch.where(alive, rate - command, 0.0)
        self._steps += alive
        whole = alive & (self._steps >= self._stride.steps)
        self._windows += whole
        for name, values, counted in (
            ("instant", self._errors[row].abs(), alive),
            ("standing", command.abs(), alive),
            ("stride_mean", self._errors.mean(0).abs(), whole),
            ("swing", self._rates.std(0, correction=0), whole),
        ):
            self._sums[name] += torch.where(counted, values.double(), 0.0)

    def measures(self) -> dict[str, Tensor]:
        """Each figure of `YawErrors` per world [N]; those within a stride are nan for worlds that lasted less."""
        return {
            name: total / (self._windows if name in ("stride_mean", "swing") else self._steps)
            for name, total in self._sums.items()
        }

    def errors(self, seed: int) -> YawErrors:
        """The figures over all worlds, with intervals that depend on the values and `seed` alone."""
        return YawErrors(self._stride, **{name: _interval(row, seed) for name, row in self.measures().items()})


def _interval(values: Tensor, seed: int) -> Interval:
    known: Floats = values.cpu().numpy().astype(np.float64)
    return bootstrap_mean(known[np.isfinite(known)], seed)
