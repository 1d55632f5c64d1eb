"""From a trained run to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deploy.bundle.folder import check_replaceable
from deploy.bundle.golden import Episode
from deploy.bundle.manifest import Manifest
from deploy.bundle.reader import OWN
from deploy.export.exporter import ExportReport, check_batch, export_bundle
from policies.graph.policy_graph import PolicyGraph
from real.missions.kinds import KINDS
from real.robots.mapped_wire import ElevationSettings
from real.robots.wires import nearest
from robo_rl.evaluation.registry import evaluate_policy
from robo_rl.output import results
from robo_rl.training import config, runner, tasks
from sim.task import Task

VISITED_SEED = 20_000_003
"""Seed of the flights that prove an export; neither training nor evaluation uses it."""
ROBOTS, STEPS_PER_FLIGHT, FLIGHTS = 16, 200, 2


@dataclass(frozen=True)
class Export:
    """What `export_run` wrote, the evaluation in the bundle, and the bundle's needs that no known driver offers, in
    words."""

    report: ExportReport
    evaluation: dict[str, Any]
    not_offered: list[str]


def export_run(run_dir: Path, out: Path, episodes: int = 1000, batch: int | None = None) -> Export:
    """Turn the last checkpoint of a run into a bundle in the folder `out`, evaluated from `episodes` held-out starts;
    with `batch`, the network for exactly that many robots is added.

    Raises UserError when the run can't be read, the export fails, or the task lacks what its kind needs; `out` is then
    as it was.
    """
    check_replaceable(out, OWN)
    check_batch(batch)
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
        accept=_check_kind,
        batch=batch,
        robot=tasks.robot_files(run_dir, configuration),
    )
    return Export(report, evaluation, not_offered(report.manifest))


def not_offered(manifest: Manifest) -> list[str]:
    """The bundle's needs that no known driver offers, in words; empty if one driver offers everything, be it with an
    elevation map beside the robot."""
    if manifest.kind not in KINDS:
        return [f"a mission of kind {manifest.kind} is missing"]
    kind = KINDS[manifest.kind].kind
    return nearest(lambda offer: kind.missing(manifest, offer), ElevationSettings())[1]


def _check_kind(manifest: Manifest) -> None:
    if manifest.kind in KINDS:
        KINDS[manifest.kind].kind.check(manifest)


@torch.no_grad()
def visit(graph: PolicyGraph, task: Task) -> Episode:
    """Sensors [T, N, dim] of the policy's own flights, from fresh starts, resets included."""
    environment = task.make_environment(ROBOTS, VISITED_SEED, "cpu")
    names = [s.name for s in graph.used_sensors]
    rows: dict[str, list[np.ndarray[Any, Any]]] = {name: [] for name in names}
    resets = []
    steps = min(STEPS_PER_FLIGHT, task.episode_steps)
    for _ in range(max(FLIGHTS, -(-1000 // (steps * ROBOTS)))):
        # Every flight begins with a reset, so that the golden episode, which is robot 0's, contains resets.
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
