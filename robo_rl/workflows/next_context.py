"""Which context to train in next, so that few trainings serve a whole range of contexts (MBTL, arXiv 2408.04498).

A policy that is trained at a context x and used at c loses what the generalisation gap says: theta |x - c|, a line. A
Gaussian process over the contexts in which policies were trained says how good one trained at any other x would be.
The next context is the one from which the most is to be gained over all contexts, taking the best policy in each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.errors import UserError
from policies.validation import require

Array = NDArray[np.float64]
LENGTHS = (0.2, 0.4, 0.8)
"""Lengths of the process's kernel that are compared, in shares of the range."""
NOISE = 0.05
"""Standard deviation of the scores' noise, in spreads of the scores."""
OPTIMISM = 1.0
"""Standard deviations above the mean at which a context is judged, so that unknown ones are tried."""


@dataclass(frozen=True)
class Contexts:
    """Which contexts there are and how many trainings may serve them."""

    setting: str
    """The context: a number among the task's settings, such as commands.velocity.forward."""
    low: float
    """Its lowest value."""
    high: float
    """Its highest value."""
    points: int = 9
    """Contexts, evenly spaced: policies are trained in some of them and evaluated in all."""
    trainings: int = 4
    """Policies to train."""
    worlds: int = 256
    """Episodes of each evaluation."""

    def __post_init__(self) -> None:
        require(self, "points", low=2)
        require(self, "trainings", low=1, high=self.points)
        require(self, "worlds", low=1)
        if not self.low < self.high:
            raise UserError(f"low must be below high, got {self.low} and {self.high}")


def predicted(known: Array, scores: Array, contexts: Array) -> tuple[Array, Array]:
    """Mean and standard deviation [C] at `contexts` of a Gaussian process through the `scores` [K] at `known` [K].

    Its kernel is squared exponential, of the likeliest length among `LENGTHS`. Ref: Rasmussen and Williams, "Gaussian
    processes for machine learning", algorithm 2.1.
    """
    middle, spread = scores.mean(), max(float(scores.std()), 1e-6 * max(1.0, float(np.abs(scores).max())))
    standard = (scores - middle) / spread

    def kernel(a: Array, b: Array, length: float) -> Array:
        found: Array = np.exp(-0.5 * ((a[:, None] - b) / length) ** 2)
        return found

    best, result = -np.inf, (scores, scores)
    for length in LENGTHS:
        factor = np.linalg.cholesky(kernel(known, known, length) + NOISE**2 * np.eye(len(known)))
        weights = np.linalg.solve(factor.T, np.linalg.solve(factor, standard))
        likelihood = float(-0.5 * standard @ weights - np.log(np.diag(factor)).sum())
        if likelihood > best:
            across = kernel(contexts, known, length)
            left = 1.0 - (np.linalg.solve(factor, across.T) ** 2).sum(0)
            mean, deviation = middle + spread * (across @ weights), spread * np.sqrt(np.maximum(left, 0.0))
            best, result = likelihood, (mean, deviation)
    return result


def gap_slope(contexts: Array, trained: list[int], scores: Array) -> float:
    """The slope theta of the generalisation gap, by least squares through 0; `scores` [K, C] are as for
    `next_context`."""
    distance = np.abs(contexts[trained][:, None] - contexts)
    lost = scores[np.arange(len(trained)), trained][:, None] - scores
    square = float((distance**2).sum())
    return max(0.0, float((distance * lost).sum()) / square) if square > 0.0 else 0.0


def next_context(contexts: Array, trained: list[int], scores: Array) -> int:
    """The index of the context to train in next: the middle one at first.

    `contexts` [C] ascend; policies were trained in those of the indices `trained` [K], and `scores` [K, C] are how good
    each is in every context, larger for better. Raises ValueError when all contexts have been trained in.
    """
    left = [index for index in range(len(contexts)) if index not in trained]
    if not left:
        raise ValueError(f"all {len(contexts)} contexts have been trained in")
    if not trained:
        return len(contexts) // 2
    places = (contexts - contexts[0]) / (contexts[-1] - contexts[0])
    mean, deviation = predicted(places[trained], scores[np.arange(len(trained)), trained], places)
    hoped = mean + OPTIMISM * deviation
    there = hoped[:, None] - gap_slope(places, trained, scores) * np.abs(places[:, None] - places)
    gain = np.maximum(there - scores.max(0), 0.0).mean(1)
    return max(left, key=lambda index: (gain[index], np.abs(places[trained] - places[index]).min()))
