"""A trained run as something to fly and to export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deploy.bundle.folder import check_replaceable
from deploy.bundle.golden import Episode
from deploy.bundle.reader import FILES
from deploy.errors import BundleError
from deploy.export.exporter import ExportReport, export_bundle
from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from robo_rl.evaluation.registry import evaluate_policy
from robo_rl.output import results
from robo_rl.training import config, runner
from sim.task import Task

VISITED_SEED = 20_000_003
"""Seed of the flights that prove an export; neither training nor evaluation uses it."""
ROBOTS, STEPS_PER_FLIGHT, FLIGHTS = 16, 200, 2


@dataclass(frozen=True)
class Export:
    """What `export_run` wrote, and the evaluation that the bundle carries."""

    report: ExportReport
    evaluation: dict[str, Any]


def export_run(run_dir: Path, out: Path, episodes: int = 1000) -> Export:
    """Turn the last checkpoint of a run into a bundle in the folder `out`, evaluated from `episodes` held-out starts.

    Raises UserError when the run can't be read or the export fails; `out` is then as it was.
    """
    try:
        check_replaceable(out, frozenset(FILES))
    except BundleError as error:
        raise UserError(str(error)) from None
    trained = runner.load_trained(run_dir)
    configuration, graph = trained.configuration, trained.graph
    task = trained.task
    evaluation = evaluate_policy(graph, task, episodes).summary()
    origin = results.provenance()
    provenance = {
        "config": config.to_document(configuration),
        "iterations": trained.iterations,
        "environment_steps": trained.steps,
        **{name: origin[name] for name in ("versions", "git_commit", "written", "machine")},
    }
    try:
        report = export_bundle(
            graph,
            visit(graph, task),
            out,
            name=f"{task.name}-{configuration.seed}",
            task=task.name,
            kind=task.kind,
            safety=task.safety,
            provenance=results.plain(provenance),
            evaluation=evaluation,
            joints=task.joints,
        )
    except BundleError as error:
        raise UserError(str(error)) from None
    return Export(report, evaluation)


@torch.no_grad()
def visit(graph: PolicyGraph, task: Task) -> Episode:
    """Sensors [T, N, dim] that the policy meets on its own flights, from fresh starts, resets included."""
    environment = task.make_environment(ROBOTS, VISITED_SEED, "cpu")
    names = [s.name for s in graph.used_sensors]
    rows: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in names}
    resets = []
    steps = min(STEPS_PER_FLIGHT, task.episode_steps)
    for _ in range(max(FLIGHTS, -(-1000 // (steps * ROBOTS)))):
        # Every flight starts anew, so that robot 0, whose episode becomes the golden one, is reset on the way.
        sensors, _ = environment.reset()
        state = graph.initial_state(ROBOTS)
        done = torch.ones(ROBOTS, dtype=torch.bool)
        for _ in range(steps):
            for name in names:
                rows[name].append(sensors[name].numpy().copy())
            resets.append(done.numpy().copy())
            commands, state = graph(sensors, state)
            step = environment.step(commands)
            done = step.terminated | step.truncated
            state = graph.reset_where(state, done)
            sensors = step.sensors
    return Episode({name: np.stack(values) for name, values in rows.items()}, np.stack(resets))
