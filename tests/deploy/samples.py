"""Small policies and flights to export: two sensors and a history, a tracking one, one that carries nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deploy.bundle.golden import Episode
from deploy.export.exporter import ExportReport, export_bundle
from policies.graph.policy_graph import PolicyGraph
from policies.networks.mlp import MLP
from policies.networks.normalizer import RunningNormalizer
from policies.specs import CommandSpec, SafetyEnvelope, SensorSpec
from policies.terms.actions import ScaledCommand, rotor_speed
from policies.terms.observations import ClippedError, ObservationTerm, Reading, RotationMatrix
from policies.terms.stateful import ActionHistory

SAFETY = SafetyEnvelope(1.2, 0.05, 0.1, 1.0, 4.0, (-3.0, -3.0, -1.0), (3.0, 3.0, 2.0))
SENSORS = (
    SensorSpec("position", 3, "m", "world", -10.0, 10.0, relative_to="target"),
    SensorSpec("voltage", 1, "V", "none", 0.0, 5.0),
    SensorSpec("orientation", 4, "1", "world", -1.01, 1.01),
    SensorSpec("target_position", 3, "m", "world", (-9.0, -9.0, 0.0), 10.0),
)
ROTORS = CommandSpec("rotor_speed", 4, "rad/s", 0.0, 2272.6, 1e5, ("rotor_1", "rotor_2", "rotor_3", "rotor_4"))


def hover_graph(seed: int = 0, **changes: Any) -> PolicyGraph:
    """Position and orientation to rotor speeds, with a history of 3 actions and a normaliser that has seen data."""
    terms: tuple[ObservationTerm, ...] = (ClippedError("position", 0.6), RotationMatrix(), ActionHistory(3, 4, 0.25))
    width = sum(term.dim for term in terms)
    arguments: dict[str, Any] = {
        "sensors": SENSORS,
        "commands": (ROTORS,),
        "observation": terms,
        "action": rotor_speed(2272.6),
        "network": _network(seed, width, "tanh", squash=True),
        "period": 0.01,
        "normalizer": _normalizer(seed, width),
    }
    return PolicyGraph(**(arguments | changes))


def tracking_graph() -> PolicyGraph:
    """A stateless policy of position and target, ELU, clipped actions, no normaliser, limits that differ by channel."""
    low, high = (-1.0, -2.0), (3.0, 2.0)
    return PolicyGraph(
        SENSORS,
        (CommandSpec("thrust", 2, "N", low, high, 50.0, ("left", "right")),),
        (ClippedError("position", 5.0, target="target_position"), Reading("voltage", 1, scale=0.2)),
        ScaledCommand("thrust", 2, 1.5, 0.5),
        _network(3, 4, "elu", squash=False),
        0.02,
    )


def episode(steps: int = 60, robots: int = 20, seed: int = 0, **changes: Any) -> Episode:
    """Random sensors for every spec above; each robot is reset now and then."""
    random = np.random.default_rng(seed)
    orientation = random.normal(size=(steps, robots, 4))
    reset = random.random((steps, robots)) < 0.03
    reset[0] = True
    sensors = {
        "position": random.normal(size=(steps, robots, 3)),
        "voltage": random.uniform(3.0, 4.2, size=(steps, robots, 1)),
        "orientation": orientation / np.linalg.norm(orientation, axis=-1, keepdims=True),
        "target_position": random.normal(size=(steps, robots, 3)),
    }
    return Episode(sensors | changes.pop("sensors", {}), changes.pop("reset", reset))


def export(graph: PolicyGraph, out: Path, visited: Episode | None = None, **changes: Any) -> ExportReport:
    """Export with everything that a test does not care about filled in."""
    arguments: dict[str, Any] = {
        "name": "sample",
        "task": "crazyflie-hover",
        "kind": "flight",
        "safety": SAFETY,
        "provenance": {"seed": 0, "versions": {"torch": torch.__version__}},
        "evaluation": {"success": 0.93, "interval": [0.91, 0.95]},
    }
    return export_bundle(graph, episode() if visited is None else visited, out, **(arguments | changes))


def _network(seed: int, inputs: int, activation: Any, squash: bool) -> MLP:
    """A network with biases that are not zero, and outputs large enough to reach the limits now and then."""
    torch.manual_seed(seed)
    network = MLP(inputs, (16, 16), 2 if activation == "elu" else 4, activation, squash, output_gain=1.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def _normalizer(seed: int, width: int) -> RunningNormalizer:
    generator = torch.Generator().manual_seed(seed)
    normalizer = RunningNormalizer(width)
    normalizer.update(math.pi * torch.randn(500, width, generator=generator) + 0.1)
    return normalizer
