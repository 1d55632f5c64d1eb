"""`bench distill`: every arm of distillation on go1-velocity-hidden, in the range of its training and beyond it.

Every arm is trained from the same seeds, for as many environment steps and no longer than `minutes`; those that have a
teacher learn from the arm `teacher` of the same seed. Each policy then walks on held-out commands in both ranges, and a
ridge probe regresses the hidden parameters from what it remembers. AdaStop compares the arms' returns; claim what it
allows and no more. `alphas` are the weights of HIB's compression (`--compression`) to compare.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.validation import require
from robo_rl.algorithms.distill.arms import ARMS, Kind
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.registry import recommended_config
from robo_rl.bench.distill_probe import probe, source
from robo_rl.bench.registry import BENCHMARK_SEED
from robo_rl.bench.saved_rows import Keep, Row, measure_now
from robo_rl.bench.timed_training import train_until, trained_seconds
from robo_rl.evaluation.statistics import Design, compare
from robo_rl.evaluation.walking import evaluate_walking
from robo_rl.training import config, runner
from sim.controllers.teacher import LearnedTeacher
from sim.legged.hidden import HIDDEN
from sim.tasks import find_task

TASK = "go1-velocity-hidden"
RANGES = {"in": 1.0, "1.5x": 1.5}
"""The ranges of evaluation, as factors of that of the training."""
PREFERRED: tuple[Kind, ...] = ("history", "gru", "mlp")
"""The networks for an arm's student, the best first."""
PROBE_SEED = 60_000_011


def recommended() -> PpoConfig:
    own = recommended_config("ppo", find_task(TASK))
    assert isinstance(own, PpoConfig)
    # All arms together are to fit into six hours.
    return replace(own, iterations=100)


@dataclass(frozen=True)
class Settings:
    """Train every arm of distillation and its baselines, and compare them."""

    seeds: int = 5
    """Trainings of each arm, with seeds from `first_seed` on."""
    first_seed: int = 0
    """Seed of the first training."""
    arms: tuple[str, ...] = tuple(ARMS)
    """The arms to compare; the teacher is trained for those that need one."""
    alphas: tuple[float, ...] = (0.0, 1e-3, 1e-2)
    """Weights of HIB's compression to compare; none: leave the sweep out."""
    alpha_seeds: int = 3
    """Trainings for each of them."""
    minutes: float = 6.0
    """A training ends after this time, if not before."""
    worlds: int = 300
    """Worlds of each evaluation."""
    probe_worlds: int = 1000
    """Worlds whose hidden parameters are regressed."""
    probe_steps: int = 300
    """Steps that each of them walks."""
    threads: int = 1
    """Threads that torch may use within one operation; the physics takes all cores."""
    runs: Path | None = None
    """Folder for the runs, ARM-N each; None: a temporary one."""
    algorithm: PpoConfig = field(default_factory=recommended)
    """Settings that all arms share, those of PPO; `iterations` are rma's adaptation included."""

    def __post_init__(self) -> None:
        for name in ("seeds", "alpha_seeds", "worlds", "threads"):
            require(self, name, low=1)
        require(self, "first_seed", low=0, high=9_000_000)
        require(self, "probe_worlds", low=6)
        require(self, "probe_steps", low=101)
        require(self, "minutes", above=0.0)
        if unknown := [name for name in self.arms if name not in ARMS]:
            raise UserError(f"there is no arm {unknown[0]!r}; arms: {', '.join(ARMS)}")


def run(settings: Settings, keep: Keep = measure_now) -> dict[str, Any]:
    """Two rows for each arm and seed, one for each range."""
    with tempfile.TemporaryDirectory(prefix="robo-rl-distill-") as name:
        bench = _Bench(settings, settings.runs or Path(name), keep)
        # The teacher first, which others learn from.
        arms = sorted(settings.arms, key=lambda arm: arm != "teacher")
        first = settings.first_seed
        rows = [row for arm in arms for seed in range(first, first + settings.seeds) for row in bench.rows(arm, seed)]
        alpha = [
            {"alpha": value, **row}
            for value in settings.alphas
            for seed in range(first, first + settings.alpha_seeds)
            for row in bench.rows("hib", seed, compression=value)
        ]
    return {
        "rows": rows,
        "alpha": alpha,
        "adastop": {name: _adastop(rows, name) for name in RANGES},
        "evaluation_seed": BENCHMARK_SEED,
        "failures": [],
    }


@dataclass(frozen=True)
class _Bench:
    """The trainings of one benchmark: their runs in the folder `runs`."""

    settings: Settings
    runs: Path
    keep: Keep

    def rows(self, arm: str, seed: int, **changes: Any) -> list[Row]:
        """The rows of one training, one for each range; `changes` are other settings of the arm."""
        name = "-".join((arm, *(f"{key}={value:g}" for key, value in changes.items()), str(seed)))
        if changes == {name: getattr(DistillConfig(arm=arm, actor=student(arm)), name) for name in changes}:
            # The arm's own settings: measured as a row of the arm.
            name, changes = f"{arm}-{seed}", {}
        kept = self.keep(name, partial(self._measure, arm, seed, name, changes))
        shared = {key: value for key, value in kept.items() if key not in RANGES}
        return [{"arm": arm, "seed": seed, "range": one, **kept[one], **shared} for one in RANGES]

    def _measure(self, arm: str, seed: int, name: str, changes: Mapping[str, Any]) -> Row:
        trained, seconds = self._trained(arm, seed, name, changes)
        print(f"{name}: {trained.iterations} iterations, {trained.steps} steps in {seconds:.0f} s", flush=True)
        found = {one: self._evaluate(trained.policy, factor) for one, factor in RANGES.items()}
        for one, figures in found.items():
            print(f"{name}, range {one}: return {figures['return']:.1f}, falls {figures['falls']:.3f}", flush=True)
        return {
            **found,
            "actor": student(arm),
            "probe_from": source(trained.policy),
            "train_seconds": seconds,
            "iterations": trained.iterations,
            "environment_steps": trained.steps,
        }

    def _trained(self, arm: str, seed: int, name: str, changes: Mapping[str, Any]) -> tuple[runner.Trained, float]:
        """The policy of a run, which is trained as far as its folder does not hold it, and the seconds that this took.

        Raises UserError when the folder holds a run with other settings.
        """
        folder = self.runs / name
        teacher: tuple[str, ...] = ()
        if ARMS[arm].teacher:
            self._trained("teacher", seed, f"teacher-{seed}", {})
            teacher = (str(self.runs / f"teacher-{seed}"),)
        settings = arm_settings(arm, self.settings, teacher=teacher, **changes)
        terms = find_task(TASK).settings()
        wanted = config.TrainConfig(TASK, settings, seed, threads=self.settings.threads, terms=terms)
        if not (folder / runner.CONFIG).exists():
            runner.create(folder, wanted)
        if other := config.differences(config.load(folder / runner.CONFIG), wanted):
            raise UserError(f"{folder} holds a run with other settings ({other[0]}); name another folder with --runs")
        train_until(folder, 60.0 * self.settings.minutes)
        return runner.load_trained(folder), trained_seconds(folder)

    def _evaluate(self, policy: PolicyGraph | LearnedTeacher, imperfections: float) -> Row:
        s, task = self.settings, find_task(TASK)
        found = evaluate_walking(policy, task, s.worlds, BENCHMARK_SEED, imperfections=imperfections)
        returns, falls = found.episode_return, found.fall_rate
        return {
            "return": returns.value,
            "return_interval": [returns.low, returns.high],
            "falls": falls.value,
            "falls_interval": [falls.low, falls.high],
            "velocity_error": found.velocity_error.value,
            "probe_r2": probe(policy, task, HIDDEN, s.probe_worlds, s.probe_steps, PROBE_SEED, imperfections),
        }


def student(arm: str) -> Kind:
    """The network that the benchmark trains with an arm."""
    if arm in ("teacher", "blind"):
        return "mlp"
    return next(name for name in PREFERRED if name in ARMS[arm].actors)


def arm_settings(arm: str, settings: Settings, **changes: Any) -> DistillConfig:
    """The settings of one training; rma spends a quarter of its iterations on the adaptation."""
    adaptation = max(1, settings.algorithm.iterations // 4)
    iterations = settings.algorithm.iterations - (adaptation if arm == "rma" else 0)
    own = {"arm": arm, "actor": student(arm), "iterations": iterations, "adaptation": adaptation}
    return DistillConfig(**{**vars(settings.algorithm), **own, **changes})


def _adastop(rows: list[Row], name: str) -> dict[str, Any]:
    """AdaStop's verdict on the arms' returns in one range, from one look at all seeds; why there is none otherwise."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["range"] == name:
            scores.setdefault(row["arm"], []).append(row["return"])
    try:
        return compare(scores, Design(seeds=min(map(len, scores.values()), default=0), interims=1)).document()
    except UserError as error:
        return {"refused": str(error)}
