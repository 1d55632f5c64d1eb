"""Policies that remember, exported: onnxruntime goes through a whole episode, resets included, as PyTorch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deploy.bundle import onnx_graph
from deploy.bundle.golden import TOLERANCE
from deploy.bundle.reader import load_bundle
from deploy.bundle.runtime import PolicyRuntime
from deploy.bundle.verification import verify_bundle
from policies.graph.policy_graph import PolicyGraph
from policies.networks.memory import GruNetwork, HistoryNetwork
from policies.signals import Sensors
from tests.deploy.samples import episode, export, hover_graph


def network(kind: str) -> nn.Module:
    torch.manual_seed(3)
    width = hover_graph().observation_dim
    if kind == "gru":
        return GruNetwork(width, 16, (24,), 4, "elu", squash=True, output_gain=0.5)
    return HistoryNetwork(width, 5, 8, (24,), 4, "elu", squash=True, output_gain=0.5)


@pytest.fixture(scope="module", params=["gru", "history"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[PolicyGraph, Path]:
    graph = hover_graph(network=network(request.param))
    report = export(graph, tmp_path_factory.mktemp(request.param) / "bundle")
    assert set(report.operators) <= onnx_graph.OPERATORS
    assert max(parity.normalised for parity in report.parity) <= TOLERANCE
    return graph, report.path


def test_the_bundle_verifies(exported: tuple[PolicyGraph, Path]) -> None:
    report = verify_bundle(exported[1])
    assert report.ok, [check for check in report.checks if not check.ok]
    assert report.drift <= TOLERANCE


def test_with_its_own_memory_carried_on_it_stays_pytorchs(exported: tuple[PolicyGraph, Path]) -> None:
    graph, path = exported
    visited = episode(200, 1, seed=4)
    runtime = PolicyRuntime(load_bundle(path).policy.session)
    state = graph.initial_state(1)
    remembered = [s.name for s in graph.network_states]
    worst, moved = 0.0, 0.0
    for t in range(200):
        if visited.reset[t, 0]:
            state = graph.initial_state(1)
            runtime.reset()
            assert not runtime.state[remembered[0]].any()
        row = {name: values[t, 0].astype(np.float32) for name, values in visited.sensors.items()}
        ours = runtime.step(row)
        with torch.no_grad():
            commands, state = graph(Sensors({name: torch.from_numpy(v)[None] for name, v in row.items()}), state)
        worst = max(worst, float(np.abs(ours["rotor_speed"] - commands["rotor_speed"][0].numpy()).max()) / 2272.6)
        for name, value in state.items():
            worst = max(worst, float(np.abs(runtime.state[name] - value[0].numpy()).max()))
        moved = max(moved, float(state[remembered[0]].abs().max()))
    assert worst <= TOLERANCE
    assert moved > 0.1, "the test needs a memory that is in use"


def test_what_it_remembers_changes_what_it_does(exported: tuple[PolicyGraph, Path]) -> None:
    graph, _ = exported
    visited = episode(12, 2, seed=5)
    rows = [Sensors({n: torch.from_numpy(v[t]).float() for n, v in visited.sensors.items()}) for t in range(12)]
    state = graph.initial_state(2)
    with torch.no_grad():
        for row in rows[:-1]:
            _, state = graph(row, state)
        fresh = graph.initial_state(2)
        # Only the network's own memory differs: the action history is that of the flight.
        forgotten = type(state)({**state, **{s.name: fresh[s.name] for s in graph.network_states}})
        used, unused = graph(rows[-1], state)[0], graph(rows[-1], forgotten)[0]
    assert float((used["rotor_speed"] - unused["rotor_speed"]).abs().max()) > 1.0
