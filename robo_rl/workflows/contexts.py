"""A sequence of trainings in contexts of one setting, each chosen by what the ones before it achieve everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from policies.errors import UserError
from robo_rl.evaluation.registry import evaluate_policy
from robo_rl.output import results
from robo_rl.training import config, runner
from robo_rl.training.config import TrainConfig
from robo_rl.workflows.next_context import Contexts, next_context
from sim.task import Task
from sim.tasks import find_task

RESULT = "contexts.json"
EVALUATION_SEED = 30_000_001
"""Seed of the evaluations that choose contexts; the held-out one is only for the final evaluation."""


def in_context(task: Task, setting: str, value: float) -> Task:
    """`task` with the number that `setting` names, GROUP.TERM.NAME. UserError when there is none."""
    parts = setting.split(".")
    if len(parts) != 3:
        raise UserError(f"the context must be a setting GROUP.TERM.NAME of the task, got {setting!r}")
    return task.with_settings({parts[0]: {parts[1]: {parts[2]: value}}})


def run_contexts(training: TrainConfig, settings: Contexts, folder: Path) -> dict[str, Any]:
    """Train policies as `training` says but for the context, evaluate each in all contexts, and write RESULT into
    `folder`, as well as a run for each.

    An interrupted call is continued by the same one: finished trainings and evaluations are taken from the folder.
    UserError when the folder holds those of other settings.
    """
    task = find_task(training.task)
    values = np.linspace(settings.low, settings.high, settings.points)
    contexts = [in_context(task, settings.setting, float(value)) for value in values]
    given = results.plain({"training": config.to_document(training), **vars(settings)})
    found = _read(folder / RESULT, given)
    trained: list[int] = [row["index"] for row in found]
    scores = np.array([row["scores"] for row in found]).reshape(len(found), settings.points)
    while len(trained) < settings.trainings:
        index = next_context(values, trained, scores)
        run_dir = folder / f"context-{index}"
        print(f"training {len(trained) + 1} of {settings.trainings}: {settings.setting} {values[index]:g}", flush=True)
        policy = _train(replace(training, terms=contexts[index].settings()), run_dir)
        row = [_score(policy, context, settings) for context in contexts]
        trained.append(index)
        scores = np.vstack((scores, row))
        found.append({"index": index, "context": float(values[index]), "run": str(run_dir), "scores": row})
        best = scores.argmax(0)
        result = {
            "settings": given,
            "contexts": [float(value) for value in values],
            "trainings": found,
            "best": [{"run": found[k]["run"], "score": float(scores[k, c])} for c, k in enumerate(best)],
        }
        results.write(folder / RESULT, result)
    return json.loads((folder / RESULT).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _read(path: Path, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The trainings that are done."""
    if not path.exists():
        return []
    saved = json.loads(path.read_text(encoding="utf-8"))
    if saved["settings"] != given:
        changed = [name for name, value in given.items() if saved["settings"].get(name) != value]
        raise UserError(f"{path} is of other settings ({', '.join(changed)}); name another folder with --out")
    found: list[dict[str, Any]] = saved["trainings"]
    return found


def _train(training: TrainConfig, run_dir: Path) -> Any:
    if not (run_dir / runner.CONFIG).exists():
        runner.create(run_dir, training)
    outcome = runner.train(run_dir, lambda *_: None)
    if outcome.stopped_by:
        raise KeyboardInterrupt
    return runner.load_trained(run_dir).policy


def _score(policy: Any, task: Task, settings: Contexts) -> float:
    """The mean return of a policy in a context."""
    return float(evaluate_policy(policy, task, settings.worlds, EVALUATION_SEED).summary()["episode_return"]["value"])
