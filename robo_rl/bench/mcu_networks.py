"""The policies of `bench mcu`, as bundles: plain networks from 146 numbers to 4, and a quadrotor's whole step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from deploy.bundle.golden import Episode, Golden
from deploy.bundle.manifest import Manifest
from deploy.bundle.reader import GOLDEN_FILE, MANIFEST_FILE, load_bundle, parse_manifest, read_files
from deploy.export.exporter import export_bundle
from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import GruNetwork
from policies.networks.mlp import MLP
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import Reading
from robo_rl.workflows.export import visit
from sim.tasks import find_task

INPUTS, OUTPUTS = 146, 4
HOVER = "hover step"
HOVER_TASK = "crazyflie-hover"


@dataclass(frozen=True)
class Network:
    """A network of the benchmark: its name in the table, and the layers of an MLP for peers that support only those."""

    name: str
    module: nn.Module


def networks(seed: int) -> list[Network]:
    """Fresh networks, their last layer as large as the others, so that errors show."""
    torch.manual_seed(seed)
    return [
        Network("64-64 tanh", MLP(INPUTS, (64, 64), OUTPUTS, "tanh", output_gain=1.0)),
        Network("256x3 ELU", MLP(INPUTS, (256, 256, 256), OUTPUTS, "elu", output_gain=1.0)),
        Network("GRU 64", GruNetwork(INPUTS, 64, (), OUTPUTS, output_gain=1.0)),
    ]


def write_bundle(network: Network, out: Path, seed: int) -> Path:
    """A bundle of the bare network: one sensor of 146 numbers, one command of 4 in -1 to 1."""
    graph = PolicyGraph(
        (SensorSpec("observation", INPUTS, "1", "none", -10.0, 10.0),),
        (CommandSpec("command", OUTPUTS, "1", -1.0, 1.0, 100.0, tuple(f"output_{i}" for i in range(OUTPUTS))),),
        (Reading("observation", INPUTS),),
        ScaledCommand("command", OUTPUTS, 1.0),
        network.module,
        period=0.02,
    )
    random = np.random.default_rng(seed)
    reset = np.zeros((50, 20), bool)
    reset[0] = True
    values = np.clip(random.normal(size=(*reset.shape, INPUTS)), -5.0, 5.0)
    episode = Episode({"observation": values}, reset)
    return _export(graph, episode, out, network.name.replace(" ", "-"), SafetyEnvelope(1.2, 0.05, 0.1), "measurement")


def write_untrained(task_name: str, out: Path, seed: int) -> Path:
    """A bundle of a task's graph around an untrained network: its steps cost as much as those of a trained one."""
    task = find_task(task_name)
    torch.manual_seed(seed)
    network = MLP(task.observation_dim, (64, 64), task.action.dim, "tanh", squash=True, output_gain=0.5)
    graph = task.policy_graph(network)
    return _export(graph, visit(graph, task), out, f"{task_name}-untrained", task.safety, task.kind, task_name)


def recorded(bundle: Path) -> tuple[Manifest, Golden]:
    """A bundle's manifest and its whole recorded flight."""
    files = read_files(bundle)
    manifest = parse_manifest(files[MANIFEST_FILE])
    return manifest, Golden.from_bytes(files[GOLDEN_FILE], manifest)


def flight(bundle: Path, steps: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The first steps of a bundle's recorded flight with a reset in the middle: [steps], and sensors [steps, dim].

    Sensors are kept within their limits, which a policy that has not learnt may leave.
    """
    manifest, golden = recorded(bundle)
    reset = np.zeros(min(steps, len(golden.reset)), bool)
    reset[[0, len(reset) // 2]] = True
    sensors = {}
    for entry in manifest.sensors:
        low, high = np.array(entry.low), np.array(entry.high)
        margin = 0.01 * (high - low)
        sensors[entry.name] = np.clip(golden.sensors[entry.name][: len(reset)], low + margin, high - margin)
    return reset, {name: values.astype(np.float32) for name, values in sensors.items()}


def reference(bundle: Path, reset: np.ndarray, sensors: dict[str, np.ndarray]) -> np.ndarray:
    """onnxruntime's commands over those steps, shape [steps, floats of all commands], within the limits."""
    policy = load_bundle(bundle).policy
    rows = []
    for step, fresh in enumerate(reset):
        if fresh:
            policy.reset()
        commands = policy.step({name: values[step] for name, values in sensors.items()})
        rows.append(np.concatenate([commands[entry.name] for entry in policy.manifest.commands]))
    low, high = limits(bundle)
    within: np.ndarray = np.clip(np.stack(rows), low, high)
    return within


def limits(bundle: Path) -> np.ndarray:
    """Low and high of every command, shape [2, floats of all commands]."""
    commands = load_bundle(bundle).manifest.commands
    return np.array([[v for entry in commands for v in entry.low], [v for entry in commands for v in entry.high]])


def _export(
    graph: PolicyGraph,
    episode: Episode,
    out: Path,
    name: str,
    safety: SafetyEnvelope,
    kind: str,
    task: str = HOVER_TASK,
) -> Path:
    report = export_bundle(
        graph,
        episode,
        out,
        name=name,
        task=task,
        kind=kind,
        safety=safety,
        provenance={},
        evaluation={"measured": "nothing"},
    )
    return report.path
