"""The curricula that every task can be trained with, by the names that the command line adds them by."""

from __future__ import annotations

from sim.terms.curricula.shares import Penalties, RandomizationRange
from sim.terms.curricula.snapshots import SnapshotResets
from sim.terms.terms import Curriculum

CURRICULA = {
    "penalties": Curriculum(Penalties),
    "randomization_range": Curriculum(RandomizationRange),
    "snapshots": Curriculum(SnapshotResets),
}
