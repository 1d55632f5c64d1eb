"""Many trainings over a range of settings, several seeds of each point, one after the other, resumable.

A sweep's folder holds `sweep.yaml`, `points.json` (the settings of each point, in the order in which they were chosen),
a run for each point and seed, `point-000/seed-0` and so on, and at the end `results.json` and `sweep.png`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from policies.errors import UserError, one_line
from policies.validation import require, require_choice
from robo_rl.evaluation.comparison import TAIL, score
from robo_rl.evaluation.flying import Interval, bootstrap_mean
from robo_rl.output import results
from robo_rl.output.files import write_text
from robo_rl.training import record, runner
from robo_rl.training.config import MAX_SEED
from robo_rl.training.strict import structured
from robo_rl.workflows.processes import call_stoppable

SWEEP, POINTS, RESULTS, PLOT = "sweep.yaml", "points.json", "results.json", "sweep.png"
OWN = ("seed", "run-dir", "resume", "label")
"""Flags of `train` that the sweep itself sets."""
RANGE = {"low", "high", "log", "whole"}

Settings = dict[str, Any]
"""Flag of `train` without its dashes -> value."""


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep's YAML file."""

    task: str
    vary: Mapping[str, Any]
    """Flag -> list of values or, except in a grid, a range {low, high, log, whole}."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Flags that all trainings share, `algorithm` among them."""
    seeds: tuple[int, ...] = (0, 1, 2)
    metric: str = "episode_return"
    direction: str = "maximize"
    search: str = "grid"
    """grid: every combination; random and tpe: `trials` points chosen by optuna."""
    trials: int = 20
    search_seed: int = 0

    def __post_init__(self) -> None:
        require_choice(self, "direction", ("maximize", "minimize"))
        require_choice(self, "search", ("grid", "random", "tpe"))
        require(self, "trials", low=1)
        require(self, "search_seed", low=0)
        require(self, "seeds", low=0, high=MAX_SEED)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds must be one or more different numbers, got {list(self.seeds)}")
        if not self.vary:
            raise UserError("vary must name a flag or more, each with its values; see docs/comparing.md")
        for name in (*self.vary, *self.settings):
            if flag_name(name) in OWN:
                raise UserError(f"{name} is set by the sweep itself; leave it out of vary and settings")
        for name, values in self.vary.items():
            self._check_values(name, values)

    def _check_values(self, name: str, values: Any) -> None:
        if isinstance(values, list) and values:
            return
        ranged = isinstance(values, Mapping) and {"low", "high"} <= values.keys() <= RANGE
        if not ranged or self.search == "grid":
            wanted = "a list of values" + ("" if self.search == "grid" else " or {low: A, high: B}")
            raise UserError(f"vary.{name} must be {wanted} for search {self.search}, got {values!r}")
        low, high = values["low"], values["high"]
        if not all(isinstance(bound, int | float) for bound in (low, high)) or not low < high:
            raise UserError(f"vary.{name} must have numbers low < high, got {low!r} and {high!r}")
        if values.get("log") and low <= 0:
            raise UserError(f"vary.{name} is logarithmic, so low must be above 0, got {low!r}")

    def examples(self) -> Iterator[Settings]:
        """Settings that together hold every listed value and both ends of every range."""
        ends = {n: v if isinstance(v, list) else [v["low"], v["high"]] for n, v in self.vary.items()}
        first = {name: values[0] for name, values in ends.items()}
        yield first
        for name, values in ends.items():
            yield from ({**first, name: value} for value in values[1:])


@dataclass(frozen=True)
class Point:
    """One choice of settings, with the score of each of its seeds; None for a training that failed."""

    settings: Settings
    scores: Mapping[int, float | None]
    runs: Sequence[str]

    @property
    def mean(self) -> Interval:
        """Over the seeds that have a score; nan without any."""
        return bootstrap_mean(np.array([one for one in self.scores.values() if one is not None]), 0)


def label(settings: Settings) -> str:
    """What names a point, in the plot and in `robo-rl compare --by label`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


Trainer = Callable[[Settings, int], Sequence[str]]
"""Gives the arguments of `robo-rl train` for settings and a seed, without a run folder."""


def read(path: Path) -> Sweep:
    """Read a sweep's YAML file. Raises UserError that names what is wrong in it."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read {path} ({getattr(error, 'strerror', None) or error}); name a YAML file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold fields such as 'task:' and 'vary:', it holds {document!r}")
    if isinstance(document.get("seeds"), int):
        document["seeds"] = list(range(document["seeds"]))
    sweep: Sweep = structured(document, Sweep, str(path))
    return sweep


def enter(out: Path, sweep: Sweep) -> None:
    """Begin or continue a sweep in a folder. Raises UserError when it holds another sweep."""
    text = yaml.safe_dump(results.plain(asdict(sweep)), sort_keys=False)
    kept = out / SWEEP
    if kept.exists() and kept.read_text(encoding="utf-8") != text:
        raise UserError(f"{out} holds a sweep with other settings; name another --out, or remove it")
    if not kept.exists() and out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty and holds no sweep; name another --out")
    write_text(kept, text)


def train_all(out: Path, sweep: Sweep, arguments: Trainer) -> tuple[list[Point], int]:
    """Train every point's seeds that are not finished yet; returns the points and 0, or the exit code of the training
    that a signal ended, and the points before it."""
    points: list[Point] = []
    for number, settings in enumerate(_chosen(out, sweep, points)):
        scores: dict[int, float | None] = {}
        folders = [out / f"point-{number:03d}" / f"seed-{seed}" for seed in sweep.seeds]
        for seed, folder in zip(sweep.seeds, folders, strict=True):
            code = _train(folder, arguments(settings, seed))
            if code >= 128:
                return points, code
            scores[seed] = None if code else score(record.read(folder), sweep.metric, TAIL)
        points.append(Point(settings, scores, [str(folder) for folder in folders]))
        print(f"point {number}: {label(settings)}: {sweep.metric} {points[-1].mean.value:.4g}", flush=True)
    return points, 0


def ranked(points: Sequence[Point], direction: str) -> list[Point]:
    """The points, the best mean first, those without a score last."""
    sign = -1.0 if direction == "maximize" else 1.0
    return sorted(points, key=lambda point: (np.isnan(point.mean.value), sign * point.mean.value))


def write_results(out: Path, sweep: Sweep, points: Sequence[Point]) -> None:
    """Write `results.json`, the best point first."""
    rows = [
        {"settings": p.settings, "mean": asdict(p.mean), "seeds": p.scores, "runs": p.runs}
        for p in ranked(points, sweep.direction)
    ]
    results.write(out / RESULTS, {"sweep": asdict(sweep), "points": rows})


def flag_name(name: str) -> str:
    """A flag as the command line spells it, without its dashes."""
    return name.lstrip("-").replace("_", "-") if "." not in name else name.lstrip("-")


def _train(folder: Path, arguments: Sequence[str]) -> int:
    """Train the run in `folder` to its end, unless it is finished; returns the exit code."""
    if record.is_finished(folder):
        return 0
    begun = (folder / runner.CONFIG).exists()
    return call_stoppable(["train", *arguments, "--run-dir", str(folder), *(["--resume"] if begun else [])])


def _chosen(out: Path, sweep: Sweep, done: Sequence[Point]) -> Iterator[Settings]:
    """The settings of each point, noted before it is trained; `done` grows with the points that are."""
    if sweep.search == "grid":
        for values in itertools.product(*sweep.vary.values()):
            yield dict(zip(sweep.vary, values, strict=True))
        return
    path = out / POINTS
    noted: list[Settings] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    for number in range(sweep.trials):
        if number == len(noted):
            noted.append(_ask(sweep, done))
            write_text(path, json.dumps(noted, indent=2) + "\n")
        yield noted[number]


def _ask(sweep: Sweep, done: Sequence[Point]) -> Settings:
    """The next point, from the scores of those before it: equal scores give an equal choice."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = sweep.search_seed + len(done)
    samplers = optuna.samplers
    sampler = samplers.RandomSampler(seed) if sweep.search == "random" else samplers.TPESampler(seed=seed)
    study = optuna.create_study(sampler=sampler, direction=optuna.study.StudyDirection[sweep.direction.upper()])
    space = {name: _distribution(values) for name, values in sweep.vary.items()}
    for point in done:
        value = point.mean.value
        given = {n: v if isinstance(sweep.vary[n], Mapping) else json.dumps(v) for n, v in point.settings.items()}
        state = optuna.trial.TrialState.FAIL if np.isnan(value) else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                params=given, distributions=space, value=None if np.isnan(value) else value, state=state
            )
        )
    asked = study.ask(space).params
    return {n: v if isinstance(sweep.vary[n], Mapping) else json.loads(v) for n, v in asked.items()}


def _distribution(values: Any) -> Any:
    """A list's values as text, since a choice of optuna's is a plain value; a range as it is."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(values, Mapping):
        return CategoricalDistribution([json.dumps(value) for value in values])
    kind = IntDistribution if values.get("whole") else FloatDistribution
    return kind(values["low"], values["high"], log=bool(values.get("log")))
