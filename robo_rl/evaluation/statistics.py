"""Which of several groups of scores differ: AdaStop, a group-sequential permutation test.

AdaStop (Mathieu et al., arXiv 2306.10882) looks at the scores of the first `seeds` seeds of every group, then of twice
as many, and so on, at most `interims` times, and stops as soon as every pair of groups is decided. The chance that it
calls any two equal groups different, over all pairs and all looks, is at most `alpha`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from policies.errors import UserError
from policies.validation import require

LARGER, SMALLER, SAME, UNDECIDED = "larger", "smaller", "no difference", "undecided"
_VERDICTS = {"larger": LARGER, "smaller": SMALLER, "equal": SAME, "continue": UNDECIDED}
"""The library's word and ours: a test that finds no difference has not shown equality."""


@dataclass(frozen=True)
class Design:
    """How AdaStop tests. It holds its level only when chosen before the scores are known."""

    seeds: int = 5
    """Seeds of each group that every look adds."""
    interims: int = 5
    """Looks at most. With 1 the test ends after the first `seeds` seeds, and no pair stays undecided."""
    alpha: float = 0.05
    """Chance of calling any two equal groups different."""
    permutations: int = 10_000
    """Permutations at most; fewer where the seeds allow no more."""
    seed: int = 0
    """Seed of the permutations that are drawn."""

    def __post_init__(self) -> None:
        require(self, "seeds", low=2)
        require(self, "interims", low=1)
        require(self, "alpha", low=1e-6, high=0.5)
        require(self, "permutations", low=100)
        if 2.0 / math.comb(2 * self.seeds, self.seeds) > self.alpha:
            raise UserError(
                f"permuting {self.seeds} seeds of two groups can't reach the level alpha {self.alpha:g}; "
                "take more seeds or a larger alpha"
            )


@dataclass(frozen=True)
class Pair:
    """The verdict about two groups: the first one's mean is `verdict` than the second one's."""

    first: str
    second: str
    verdict: str
    """larger, smaller, no difference, or undecided: more seeds are needed."""
    difference: float
    """Mean of the first minus mean of the second, over the seeds that the test has seen."""
    seeds: int
    """Seeds of each group that the test has seen of this pair."""


@dataclass(frozen=True)
class Comparison:
    """What AdaStop found."""

    design: Design
    seeds: int
    """Seeds of each group at which it stopped."""
    pairs: tuple[Pair, ...]

    @property
    def undecided(self) -> tuple[str, ...]:
        """The groups that need more seeds."""
        return tuple(dict.fromkeys(n for p in self.pairs if p.verdict == UNDECIDED for n in (p.first, p.second)))

    def document(self) -> dict[str, Any]:
        """As plain data for a result file."""
        return {
            "design": asdict(self.design),
            "seeds": self.seeds,
            "pairs": [asdict(pair) for pair in self.pairs],
            "undecided": list(self.undecided),
        }


def compare(scores: Mapping[str, Sequence[float]], design: Design | None = None) -> Comparison:
    """Compare groups of scores, each a name and one score a seed, in the order in which the seeds were chosen.

    Scores beyond the last look are not used. Raises UserError for fewer than two groups, for fewer seeds in a group
    than one look needs, and for scores that are not finite.
    """
    design = design or Design()
    names = list(scores)
    values = [np.asarray(scores[name], dtype=np.float64) for name in names]
    if len(names) < 2:
        raise UserError(f"a comparison needs two groups or more, got {len(names)}")
    for name, one in zip(names, values, strict=True):
        if one.ndim != 1 or len(one) < design.seeds:
            raise UserError(f"AdaStop needs {design.seeds} seeds of each group, and {name} has {len(one)}; train more")
        if not np.isfinite(one).all():
            raise UserError(f"a score of {name} is not finite; that seed's training failed")
    from adastop import MultipleAgentsComparator

    # adastop compares the absolute difference with the signed ones of the permutations, which doubles its level.
    test = MultipleAgentsComparator(
        n=design.seeds, K=design.interims, B=design.permutations, alpha=design.alpha / 2.0, seed=design.seed
    )
    pairs = list(combinations(range(len(names)), 2))
    verdicts, seen = [UNDECIDED] * len(pairs), [0] * len(pairs)
    for look in range(1, design.interims + 1):
        known = look * design.seeds
        still = [number for number, verdict in enumerate(verdicts) if verdict == UNDECIDED]
        if not still or any(len(values[group]) < known for number in still for group in pairs[number]):
            break
        test.partial_compare({name: one[:known] for name, one in zip(names, values, strict=True)}, verbose=False)
        for number in still:
            verdicts[number] = _VERDICTS[test.decisions[str(np.array(pairs[number]))]]
            seen[number] = known
    return Comparison(
        design,
        max(seen),
        tuple(
            Pair(names[a], names[b], verdict, float(values[a][:known].mean() - values[b][:known].mean()), known)
            for (a, b), verdict, known in zip(pairs, verdicts, seen, strict=True)
        ),
    )
